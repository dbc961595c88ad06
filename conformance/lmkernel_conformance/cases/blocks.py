"""Weights of few bits: their numbers bit for bit, products with them, and fields of words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.block_numbers import SIZES
from lmkernel_conformance.block_weights import coded_weight, stored_weight
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal
from lmkernel_conformance.oracle import norm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.contract.blocks import Blocks
    from lmkernel_conformance.subject import Subject


def _all_kinds() -> list[tuple[str, Blocks, NDArray[np.float64]]]:
    found = [(kind, *stored_weight(kind, 3, 3)) for kind in SIZES]
    for bits in (4, 8):
        for groups in (1, 3):
            for zeros in (False, True):
                name = f"int{bits}, {groups} groups{', zeros' * zeros}"
                found.append((name, *coded_weight(bits, 3, 66, groups, zeros=zeros)))
    return found


def _packed(s: Subject, blocks: Blocks) -> Any:
    return s.ops.pack_blocks(blocks, s.dtype)  # type: ignore[arg-type]  # declared by the backend


@case(level="operations", id="blocks.numbers")
def numbers(s: Subject) -> None:
    """Every kind gives the numbers of its formula bit for bit, whole and row by row."""
    rows = np.array([[2, 0], [1, 2]])
    for name, blocks, expected in _all_kinds():
        handle = _packed(s, blocks)
        rounded = s.round(expected)
        s.equal(name, s.ops.unpack_linear(handle), rounded, s.dtype)
        s.equal(f"{name}: rows", s.ops.take_rows(handle, s.array(rows)), rounded[rows], s.dtype)


@case(level="operations", id="unpack_bits")
def fields_of_words(s: Subject) -> None:
    """Fields of each width in words of any sign and in bytes, the lowest first."""
    words = np.array([[0, -1, 1, -(2**31)], [2**31 - 1, 0x12345678, -0x12345679, 0x0F0F0F0F]])
    for bits, source in ((32, words), (16, words & 0xFFFF), (8, words & 0xFF)):
        for width in (1, 2, 4, 8, 16):
            if width >= bits:
                continue
            shifts = np.arange(0, bits, width)
            expected = (source[..., None] >> shifts & (1 << width) - 1).reshape(2, -1)
            got = s.ops.unpack_bits(s.array(source), width, bits)
            s.equal(f"{width} of {bits} bits", got, expected, "int32")


def _product(made: tuple[Blocks, NDArray[np.float64]], *rows: int) -> Trial:
    blocks, expected = made
    label = f"blocks.{blocks.kind}.x"
    return Trial(
        inputs={
            "x": normal(label, *rows, blocks.shape[1]),
            "bias": normal(f"{label}.bias", blocks.shape[0]),
        },
        native=lambda s, t: s.ops.linear(t["x"], _packed(s, blocks), t["bias"]),
        formula=lambda ar, t: norm.linear(ar, t["x"], ar.constant(expected), t["bias"]),
    )


@trial(id="linear.blocks.q4_k", op="pack_blocks")
def linearstored_weight() -> Trial:
    """A weight as a GGUF file holds it; gradients flow to what it is multiplied by."""
    return _product(stored_weight("q4_k", 5, 1), 2, 3)


@trial(id="linear.blocks.int8", op="pack_blocks")
def linear_bytes() -> Trial:
    """Eight bits and a scale for each row; one row, as in decoding."""
    return _product(coded_weight(8, 7, 64, 1, zeros=False), 1, 1)


@trial(id="linear.blocks.int4", op="pack_blocks")
def linear_nibbles() -> Trial:
    """Four bits, groups of 32 with zeros of their own."""
    return _product(coded_weight(4, 7, 64, 2, zeros=True), 4)
