"""The numbers in GGUF's blocks, from their bytes.

Formulas: ggml-common.h and ggml-quants.c of ggml (https://github.com/ggml-org/ggml). In what
follows ``b`` are int32 bytes ``(blocks, bytes)``, and a function gives float32
``(blocks, numbers)``, in any shape of as many.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["GGUF_KINDS"]


@final
@dataclass(frozen=True)
class BlockKind:
    """A kind of block: how many numbers in how many bytes, and which."""

    numbers: int
    size: int
    expand: Callable[[Ops, Array], Array]

    def row_bytes(self, width: int) -> int:
        """Bytes of a row of so many numbers."""
        return width // self.numbers * self.size


def _fields(ops: Ops, b: Array, width: int, run: int) -> Array:
    """Fields of ``width`` bits as GGUF has them: the first of all bytes of a run, then the next.

    ``(blocks, bytes) -> (blocks, numbers / run, run)``, int32.
    """
    each = 8 // width
    found = ops.reshape(ops.unpack_bits(b, width, 8), (b.shape[0], -1, run, each))
    return ops.reshape(ops.permute_dims(found, (0, 1, 3, 2)), (b.shape[0], -1, run))


def _float(ops: Ops, x: Array) -> Array:
    return ops.astype(x, "float32")


def _int(ops: Ops, value: int) -> Array:
    return ops.full((), value, "int32")


def _as_signed(ops: Ops, b: Array) -> Array:
    """Bytes as signed numbers."""
    return ops.where(b < _int(ops, 128), b, b - _int(ops, 256))


def _half(ops: Ops, b: Array, at: int) -> Array:
    """The float16 in two bytes: ``(blocks, 1, 1)``."""
    low, high = b[:, at : at + 1], b[:, at + 1 : at + 2]
    negative = high >= _int(ops, 128)
    high = ops.where(negative, high - _int(ops, 128), high)
    exponent = ops.astype(_float(ops, high) * ops.full((), 0.25, "float32"), "int32")
    digits = (high - exponent * _int(ops, 4)) * _int(ops, 256) + low
    normal = exponent > _int(ops, 0)
    whole = _float(ops, ops.where(normal, digits + _int(ops, 1024), digits))
    size = whole * ops.take(ops.asarray(_POWERS, "float32"), exponent, 0)
    return ops.reshape(ops.where(negative, -size, size), (-1, 1, 1))


_POWERS = np.array([2.0**-24, *(2.0 ** (e - 25) for e in range(1, 31)), np.inf])


def _times(ops: Ops, q: Array, scale: Array) -> Array:
    return _float(ops, q) * scale


def _q4_0(ops: Ops, b: Array) -> Array:
    return _times(ops, _fields(ops, b[:, 2:], 4, 16) - _int(ops, 8), _half(ops, b, 0))


def _q4_1(ops: Ops, b: Array) -> Array:
    return _times(ops, _fields(ops, b[:, 4:], 4, 16), _half(ops, b, 0)) + _half(ops, b, 2)


def _five_bits(ops: Ops, high: Array, low: Array) -> Array:
    """``(blocks, 2, 16)``: 32 fifth bits in the order of the numbers."""
    fifth = ops.reshape(ops.unpack_bits(high, 1, 8), (-1, 2, 16))
    return _fields(ops, low, 4, 16) + fifth * _int(ops, 16)


def _q5_0(ops: Ops, b: Array) -> Array:
    q = _five_bits(ops, b[:, 2:6], b[:, 6:]) - _int(ops, 16)
    return _times(ops, q, _half(ops, b, 0))


def _q5_1(ops: Ops, b: Array) -> Array:
    q = _five_bits(ops, b[:, 4:8], b[:, 8:])
    return _times(ops, q, _half(ops, b, 0)) + _half(ops, b, 2)


def _q8_0(ops: Ops, b: Array) -> Array:
    q = ops.reshape(_as_signed(ops, b[:, 2:]), (-1, 1, 32))
    return _times(ops, q, _half(ops, b, 0))


def _scales(ops: Ops, b: Array) -> tuple[Array, Array]:
    """Eight scales and eight minima of 6 bits in 12 bytes, each ``(blocks, 8, 1)``, float32."""
    twos = ops.reshape(ops.unpack_bits(b[:, :8], 2, 8), (-1, 8, 4))
    top = twos[:, :, 3:] * _int(ops, 16)
    first = ops.reshape(b[:, :8], (-1, 8, 1)) - top * _int(ops, 4)
    last = ops.reshape(ops.unpack_bits(b[:, 8:], 4, 8), (-1, 4, 2))
    scales = ops.concat([first[:, :4], last[:, :, :1] + top[:, :4]], 1)
    minima = ops.concat([first[:, 4:], last[:, :, 1:] + top[:, 4:]], 1)
    return _float(ops, scales), _float(ops, minima)


def _q4_k(ops: Ops, b: Array) -> Array:
    return _with_minima(ops, b, _fields(ops, b[:, 16:], 4, 32))


def _q5_k(ops: Ops, b: Array) -> Array:
    fifth = _fields(ops, b[:, 16:48], 1, 32)
    return _with_minima(ops, b, _fields(ops, b[:, 48:], 4, 32) + fifth * _int(ops, 16))


def _with_minima(ops: Ops, b: Array, q: Array) -> Array:
    scales, minima = _scales(ops, b[:, 4:16])
    return _times(ops, q, _half(ops, b, 0) * scales) - _half(ops, b, 2) * minima


def _q6_k(ops: Ops, b: Array) -> Array:
    low = ops.reshape(_fields(ops, b[:, :128], 4, 64), (-1, 16, 16))
    high = ops.reshape(_fields(ops, b[:, 128:192], 2, 32), (-1, 16, 16))
    scales = ops.reshape(_float(ops, _as_signed(ops, b[:, 192:208])), (-1, 16, 1))
    q = low + high * _int(ops, 16) - _int(ops, 32)
    return _times(ops, q, _half(ops, b, 208) * scales)


def _level(ops: Ops, levels: tuple[int, ...], codes: Array) -> Array:
    return ops.take(ops.asarray(np.array(levels), "float32"), codes, 0)


_IQ4 = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
_E2M1 = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)


def _iq4_nl(ops: Ops, b: Array) -> Array:
    return _level(ops, _IQ4, _fields(ops, b[:, 2:], 4, 16)) * _half(ops, b, 0)


def _iq4_xs(ops: Ops, b: Array) -> Array:
    scales = ops.unpack_bits(b[:, 4:8], 4, 8) + ops.unpack_bits(b[:, 2:4], 2, 8) * _int(ops, 16)
    signed = ops.reshape(_float(ops, scales - _int(ops, 32)), (-1, 8, 1))
    q = ops.reshape(_level(ops, _IQ4, _fields(ops, b[:, 8:], 4, 16)), (-1, 8, 32))
    return q * (_half(ops, b, 0) * signed)


def _mxfp4(ops: Ops, b: Array) -> Array:
    powers = ops.asarray(np.ldexp(1.0, np.arange(256) - 128), "float32")
    scale = ops.reshape(ops.take(powers, b[:, :1], 0), (-1, 1, 1))
    return _level(ops, _E2M1, _fields(ops, b[:, 1:], 4, 16)) * scale


GGUF_KINDS: Mapping[str, BlockKind] = MappingProxyType(
    {
        "q4_0": BlockKind(32, 18, _q4_0),
        "q4_1": BlockKind(32, 20, _q4_1),
        "q5_0": BlockKind(32, 22, _q5_0),
        "q5_1": BlockKind(32, 24, _q5_1),
        "q8_0": BlockKind(32, 34, _q8_0),
        "q4_k": BlockKind(256, 144, _q4_k),
        "q5_k": BlockKind(256, 176, _q5_k),
        "q6_k": BlockKind(256, 210, _q6_k),
        "iq4_nl": BlockKind(32, 18, _iq4_nl),
        "iq4_xs": BlockKind(256, 136, _iq4_xs),
        "mxfp4": BlockKind(32, 17, _mxfp4),
    }
)
"""By GGUF's name in small letters."""
