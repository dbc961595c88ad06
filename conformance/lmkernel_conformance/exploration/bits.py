"""Properties of weights of few bits, and of the fields of words that they are read by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.block_numbers import SIZES
from lmkernel_conformance.block_weights import coded_weight, stored_weight
from lmkernel_conformance.exploration.draw import host
from lmkernel_conformance.exploration.property import NARROW, Property
from lmkernel_conformance.oracle import norm

if TYPE_CHECKING:
    from lmkernel.contract.blocks import Blocks
    from lmkernel_conformance.exploration.draw import Draw, Example
    from lmkernel_conformance.subject import Subject

__all__ = ["PROPERTIES"]

Host = Any

_CODES = ("int8", "int4")
_WIDTHS = (1, 2, 4, 8, 16)


def _draw_fields(d: Draw) -> Example:
    bits = d.pick((32, 16, 8))
    low, high = (-(2**31), 2**31 - 1) if bits == 32 else (0, 2**bits - 1)  # noqa: PLR2004 - a word
    return {
        "bits": bits,
        "width": d.pick([width for width in _WIDTHS if width <= bits]),
        "words": d.integers(d.shape(1, 3, 4), low, high),
    }


def _check_fields(s: Subject, drawn: Example) -> None:
    """Fields come lowest first and without a sign, whatever the word's is."""
    words, bits, width = np.array(drawn["words"], np.int64), drawn["bits"], drawn["width"]
    fields = words[..., None] >> np.arange(0, bits, width) & (1 << width) - 1
    expected = fields.reshape(*words.shape[:-1], -1)
    s.equal("fields", s.ops.unpack_bits(s.array(words), width, bits), expected, "int32")


def _draw_blocks(d: Draw) -> Example:
    kind = d.pick((*_CODES, *SIZES))
    out, groups = d.integer(1, 5), d.integer(1, 3)
    each = SIZES[kind][0] if kind in SIZES else 2 * d.integer(1, 20)
    return {
        "kind": kind,
        "groups": groups,
        "zeros": kind in _CODES and d.flag(),
        "seed": d.integer(0, 99),
        "shape": [out, groups * each],
        "x": d.calm([*d.shape(0, 3, 3), groups * each]),
        "bias": d.pick((None, d.calm([out]))),
        "rows": d.integers(d.shape(0, 3, 3), 0, out - 1),
    }


def _weight(drawn: Example) -> tuple[Blocks, Host]:
    (out, width), label = drawn["shape"], f".explore.{drawn['seed']}"
    kind, groups = drawn["kind"], drawn["groups"]
    if kind in SIZES:
        return stored_weight(kind, out, groups, label=label)
    bits = int(kind.removeprefix("int"))
    return coded_weight(bits, out, width, groups, zeros=drawn["zeros"], label=label)


def _check_blocks(s: Subject, drawn: Example) -> None:
    """A weight of few bits unpacks to its numbers, has their rows, and multiplies as they do."""
    blocks, numbers = _weight(drawn)
    handle, rounded = s.ops.pack_blocks(blocks, s.dtype), s.round(numbers)  # type: ignore[arg-type]  # declared by the backend
    s.equal("unpack_linear", s.ops.unpack_linear(handle), rounded, s.dtype)
    rows = np.array(drawn["rows"], np.int64)
    s.equal("take_rows", s.ops.take_rows(handle, s.array(rows)), rounded[rows], s.dtype)
    hosts = s.round({n: host(n, drawn[n]) for n in ("x", "bias") if drawn[n] is not None})
    native = {name: s.array(x) for name, x in hosts.items()}
    got = s.ops.linear(native["x"], handle, native.get("bias"))

    def formula(ar: Any) -> Host:
        bias = ar.constant(hosts["bias"]) if "bias" in hosts else None
        return norm.linear(ar, ar.constant(hosts["x"]), ar.constant(rounded), bias)

    s.agree("linear", got, formula)


PROPERTIES = (
    Property(name="unpack_bits", draw=_draw_fields, check=_check_fields),
    Property(name="blocks", draw=_draw_blocks, check=_check_blocks, dtypes=NARROW),
)
