"""Codes of 4 and 8 bits, multiplied by ONNX Runtime's own `MatMulNBits`.

Constraint: activations stay float32. For codes of 8 bits ONNX Runtime has no quick product that
keeps them so: a row by 35 million numbers takes it 75 ms, where codes of 4 bits take 3. So a byte
is two codes of 4 bits, ``16·high + low``, and two products that are added: 6 ms, and as exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_onnx.graph import MICROSOFT
from lmkernel_onnx.sizes import product
from lmkernel_onnx.tracing import compile_function
from lmkernel_onnx.values import cast_to, node

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.contract.blocks import Blocks
    from lmkernel.contract.capabilities import DType
    from lmkernel_onnx.values import Value

__all__ = ["PackedCodes", "takes"]

_BITS = {"int4": 4, "int8": 8}
_BLOCKS = (256, 128, 64, 32, 16)
"""Numbers that may share a scale in `MatMulNBits`."""
_BYTE = np.dtype(np.uint8)
_FLOAT = np.dtype(np.float32)


def takes(weight: Blocks, dtype: DType) -> bool:
    """Whether codes of this kind are multiplied as they are."""
    coded = weight.kind in _BITS and weight.scales is not None
    return coded and dtype == "float32" and _block(weight) > 0


def _block(weight: Blocks) -> int:
    """The largest block that no group ends inside of; 0 if there is none."""
    group = weight.shape[1] // (1 if weight.scales is None else weight.scales.shape[1])
    return next((block for block in _BLOCKS if group % block == 0), 0)


@final
@dataclass(frozen=True, eq=False)
class _Plane:
    """Codes of 4 bits, as `MatMulNBits` has them.

    Args:
        codes: uint8 ``(out, blocks, block / 2)``, the first code in the lower half.
        scales: float32 ``(out · blocks,)``.
        middles: uint8, the codes of zero, two in a byte for each row.
    """

    codes: NDArray[Any]
    scales: NDArray[Any]
    middles: NDArray[Any]


@final
class PackedCodes:
    """A weight ``(out, in)`` as one or two planes of codes of 4 bits.

    Args:
        weight: one that `takes` says yes to.

    Attributes:
        times: ``(x (…, in), bias (out,) or None) -> (…, out)``.
        rows: int32 ``(…) -> (…, in)``, some rows as numbers.
    """

    __slots__ = ("_middles", "_planes", "_scales", "rows", "shape", "times")

    def __init__(self, weight: Blocks) -> None:
        self.shape, block, bits = weight.shape, _block(weight), _BITS[weight.kind]
        scales = np.asarray(weight.scales, np.float32)
        middles = np.full(scales.shape, 1 << (bits - 1), np.uint8)
        repeats = weight.shape[1] // block // scales.shape[1]
        self._scales = np.repeat(scales, repeats, 1)
        self._middles = np.repeat(middles if weight.zeros is None else weight.zeros, repeats, 1)
        shape = (*self._scales.shape, block // 2)
        if bits == 4:  # noqa: PLR2004 - two codes in a byte already
            parts = [(weight.codes, self._middles, 1)]
        else:
            halves = zip(_halves(weight.codes), _halves(self._middles), (16, 1), strict=True)
            parts = [(_pairs(codes), middles, factor) for codes, middles, factor in halves]
        self._planes = [
            _Plane(
                np.ascontiguousarray(codes).reshape(shape),
                (self._scales * np.float32(factor)).reshape(-1),
                _pairs(middles).reshape(-1),
            )
            for codes, middles, factor in parts
        ]
        self.times = compile_function(self._times)
        self.rows = compile_function(self._rows, threads=1)

    def _times(self, x: Value, bias: Any | None) -> Value:
        (out, width), lead = self.shape, product(x.shape[:-1])
        rows = node("Reshape", [x, x.graph.sizes([lead, width])], _FLOAT, (lead, width))
        found = [
            node(
                "MatMulNBits",
                [rows, plane.codes, plane.scales, plane.middles],
                _FLOAT,
                (lead, out),
                domain=MICROSOFT,
                K=width,
                N=out,
                bits=4,
                block_size=2 * plane.codes.shape[2],
            )
            for plane in self._planes
        ]
        y = found[0] if len(found) == 1 else found[0] + found[1]
        shape = (*x.shape[:-1], out)
        y = node("Reshape", [y, x.graph.sizes(shape)], _FLOAT, shape)
        return y if bias is None else y + bias

    def _rows(self, indices: Value) -> Value:
        numbers = _codes(self._planes[0].codes, indices)
        if len(self._planes) > 1:
            numbers = numbers * 16.0 + _codes(self._planes[1].codes, indices)
        shape = (*indices.shape, self._scales.shape[1], 1)
        middles, scales = (
            node("Gather", [x[:, :, None], indices], x.dtype, shape, axis=0)
            for x in (self._middles, self._scales)
        )
        numbers = (numbers - cast_to(middles, _FLOAT)) * scales
        whole = (*indices.shape, self.shape[1])
        return node("Reshape", [numbers, numbers.graph.sizes(whole)], _FLOAT, whole)

    def numbers(self) -> NDArray[Any]:
        """The whole weight, on the host."""
        every = np.arange(self.shape[0], dtype=np.int32)
        whole: NDArray[Any] = self.rows(every)
        return whole


def _codes(plane: NDArray[Any], indices: Value) -> Value:
    """The codes of some rows as float32, ``(…, blocks, block)``."""
    taken = (*indices.shape, *plane.shape[1:], 1)
    pairs = node("Gather", [plane[..., None], indices], _BYTE, taken, axis=0)
    low = node("BitwiseAnd", [pairs, np.array(15, _BYTE)], _BYTE, taken)
    high = node("BitShift", [pairs, np.array(4, _BYTE)], _BYTE, taken, direction="RIGHT")
    both = node("Concat", [low, high], _BYTE, (*taken[:-1], 2), axis=-1)
    shape = (*taken[:-2], 2 * plane.shape[2])
    codes = node("Reshape", [both, both.graph.sizes(shape)], _BYTE, shape)
    return cast_to(codes, _FLOAT)


def _halves(codes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The upper and the lower 4 bits."""
    return codes >> 4, codes & 15


def _pairs(codes: NDArray[Any]) -> NDArray[Any]:
    """Two codes in a byte, the first in the lower half; a zero behind an odd number of them."""
    if codes.shape[1] % 2:
        codes = np.pad(codes, ((0, 0), (0, 1)))
    paired: NDArray[Any] = codes[:, ::2] | codes[:, 1::2] << 4
    return paired
