"""From numbers to codes of few bits, to the nearest, with the error that this makes.

A scale holds for a group of a row, or for the whole of it. Symmetric: the number of the largest
size gets the lowest code, and 0 the middle one (as in ggml's Q4_0). With zeros: the smallest and
the largest number, or 0, get the first and the last code (Jacob et al. 2017, arXiv:1712.05877).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.contract.blocks import Blocks
from lmkernel.errors import CheckpointError, InputError, as_text, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Scheme", "fitting", "joined_blocks", "quantise", "unpacked_codes"]

GROUPS = (32, 64, 128)
"""Numbers that may share a scale, apart from a whole row."""
_BITS = {"int8": 8, "int4": 4}
_USUAL = 32
_NIBBLES = 4
_SLAB = 1 << 20


@final
@dataclass(frozen=True)
class Scheme:
    """How weights are quantised when they are loaded.

    Args:
        bits: of a code, 4 or 8.
        group: numbers that share a scale; 0 for a whole row.
        symmetric: whether the middle code is 0 in every group.
    """

    bits: int
    group: int = 0
    symmetric: bool = True

    @property
    def name(self) -> str:
        """As it is asked for."""
        group = f",group={self.group}" if self.group else ""
        return f"int{self.bits}{group}{'' if self.symmetric else ',asymmetric'}"


def fitting(said: str) -> Scheme:
    """The scheme in words: ``int8`` or ``int4``, with ``,group=N`` and ``,asymmetric`` after it.

    Raises:
        InputError: other words.
    """
    kind, *more = as_text(said).split(",")
    group = 0 if kind == "int8" else _USUAL
    for word in more:
        name, _, value = word.partition("=")
        if name == "group" and value in ("row", *map(str, GROUPS)):
            group = 0 if value == "row" else int(value)
        elif word != "asymmetric":
            kind = ""
    if kind not in _BITS:
        raise InputError(
            "weights: expected 'stored', or 'int8' or 'int4', which ',group=N' (row, "
            f"{', '.join(map(str, GROUPS))}) and ',asymmetric' may follow, got {shown(said)}"
        )
    return Scheme(_BITS[kind], group, "asymmetric" not in more)


def quantise(weight: NDArray[Any], scheme: Scheme, what: str) -> tuple[Blocks, float]:
    """The codes of a weight ``(out, in)``, and their error.

    The error is the root of the summed squares of the errors over that of the weight's own.

    Args:
        weight: the numbers.
        scheme: how.
        what: the weight's name, for messages.

    Raises:
        CheckpointError: a number that is not finite.
        InputError: rows that are no multiple of a group.
    """
    width = weight.shape[1]
    if scheme.group and width % scheme.group:
        raise InputError(
            f"weights: expected rows of a multiple of the group, {scheme.group}, got {width} "
            f"({what}); 'group=row' takes any"
        )
    step, parts, sums = max(1, _SLAB // width), [], np.zeros(2)
    for row in range(0, len(weight), step):  # some rows at a time: copies are several
        values = np.asarray(weight[row : row + step], np.float32)
        if not np.isfinite(values).all():
            raise CheckpointError(f"{what}: expected finite numbers to quantise, got others")
        values = values.reshape(len(values), -1, scheme.group or width)
        part, errors = _quantise(values, scheme)
        parts.append(part)
        sums += [float(np.vdot(x, x)) for x in (errors, values)]
    whole = joined_blocks(parts)
    if whole is None:
        raise AssertionError("rows of one weight have one kind")
    return whole, math.sqrt(sums[0] / sums[1]) if sums[1] else 0.0


def _quantise(values: NDArray[Any], scheme: Scheme) -> tuple[Blocks, NDArray[Any]]:
    """Codes of ``(rows, groups, each)``, and what each is off by."""
    middle, last = 1 << (scheme.bits - 1), (1 << scheme.bits) - 1
    if scheme.symmetric:
        extreme = np.take_along_axis(values, np.abs(values).argmax(-1, keepdims=True), -1)
        scales = extreme / np.float32(-middle)
        zeros = np.full(scales.shape, middle, np.float32)
    else:
        low = np.minimum(values.min(-1, keepdims=True), 0)
        scales = (np.maximum(values.max(-1, keepdims=True), 0) - low) / np.float32(last)
        zeros = np.rint(-low / _divisor(scales))
    codes = np.clip(np.rint(values / _divisor(scales)) + zeros, 0, last)
    rows = codes.reshape(len(values), -1).astype(np.uint8)
    blocks = Blocks(
        f"int{scheme.bits}",
        (rows.shape[0], rows.shape[1]),
        _in_bytes(rows, scheme.bits),
        scales[..., 0].astype(np.float32, copy=False),
        None if scheme.symmetric else zeros[..., 0].astype(np.uint8),
    )
    return blocks, (codes - zeros) * scales - values


def _divisor(scales: NDArray[Any]) -> NDArray[Any]:
    """Where all numbers are 0, so is the scale."""
    return np.where(scales == 0, np.float32(1), scales)


def _in_bytes(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Codes as they lie in `Blocks`: of two in a byte, the first in the lower half."""
    if bits > _NIBBLES:
        return codes
    if codes.shape[1] % 2:
        codes = np.pad(codes, ((0, 0), (0, 1)))
    return codes[:, ::2] | (codes[:, 1::2] << np.uint8(_NIBBLES))


def unpacked_codes(blocks: Blocks, bits: int) -> NDArray[np.uint8]:
    """One code each, ``(out, in)``."""
    found = blocks.codes
    if bits == _NIBBLES:
        found = np.stack([found & 15, found >> np.uint8(_NIBBLES)], -1).reshape(len(found), -1)
    return found[:, : blocks.shape[1]]


def joined_blocks(parts: list[Any]) -> Blocks | None:
    """Weights of one kind, one after the other along their rows; None for others."""
    first = parts[0]
    if not all(isinstance(x, Blocks) and _layout(x) == _layout(first) for x in parts):
        return None
    codes = np.concatenate([x.codes for x in parts])
    scales = None if first.scales is None else np.concatenate([x.scales for x in parts])
    zeros = None if first.zeros is None else np.concatenate([x.zeros for x in parts])
    return Blocks(first.kind, (len(codes), first.shape[1]), codes, scales, zeros)


def _layout(x: Blocks) -> tuple[Any, ...]:
    return x.kind, x.shape[1], *(part.shape[1] for part in x.parts), x.zeros is None
