"""Numbers in blocks of few bits, one by one, as ggml's reference code reads them.

Source: ``dequantize_row_*`` in ggml-quants.c (https://github.com/ggml-org/ggml). A block is a
sequence of bytes; what comes is a list of floats, each rounded once to float32.
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["SIZES", "numbers_of_blocks", "numbers_of_codes"]


def _half(b: bytes, at: int) -> float:
    value: float = struct.unpack_from("<e", b, at)[0]
    return value


def _signed(byte: int) -> int:
    return byte - 256 if byte >= 128 else byte  # noqa: PLR2004 - of a signed byte


def _nibble(b: bytes, at: int, i: int, run: int) -> int:
    """The i-th nibble: the lower ones of ``run`` bytes, then the upper ones of the same."""
    chunk, within = divmod(i, 2 * run)
    byte = b[at + chunk * run + within % run]
    return byte >> 4 if within >= run else byte & 15


def _q4_0(b: bytes) -> list[float]:
    return [_half(b, 0) * (_nibble(b, 2, i, 16) - 8) for i in range(32)]


def _q4_1(b: bytes) -> list[float]:
    return [_half(b, 0) * _nibble(b, 4, i, 16) + _half(b, 2) for i in range(32)]


def _fifth(b: bytes, at: int, i: int) -> int:
    return (int.from_bytes(b[at : at + 4], "little") >> i & 1) << 4


def _q5_0(b: bytes) -> list[float]:
    return [_half(b, 0) * ((_nibble(b, 6, i, 16) | _fifth(b, 2, i)) - 16) for i in range(32)]


def _q5_1(b: bytes) -> list[float]:
    codes = [_nibble(b, 8, i, 16) | _fifth(b, 4, i) for i in range(32)]
    return [_half(b, 0) * code + _half(b, 2) for code in codes]


def _q8_0(b: bytes) -> list[float]:
    return [_half(b, 0) * _signed(byte) for byte in b[2:]]


def _scale_and_minimum(b: bytes, j: int) -> tuple[int, int]:
    """``get_scale_min_k4``: the first four lie in six bits, the others in two pieces."""
    if j < 4:  # noqa: PLR2004 - of eight
        return b[j] & 63, b[j + 4] & 63
    return b[j + 4] & 15 | b[j - 4] >> 6 << 4, b[j + 4] >> 4 | b[j] >> 6 << 4


def _q4_k(b: bytes) -> list[float]:
    return _with_minima(b, [_nibble(b, 16, i, 32) for i in range(256)])


def _q5_k(b: bytes) -> list[float]:
    fifth = [b[16 + i % 32] >> i // 32 & 1 for i in range(256)]
    return _with_minima(b, [_nibble(b, 48, i, 32) | fifth[i] << 4 for i in range(256)])


def _with_minima(b: bytes, codes: Sequence[int]) -> list[float]:
    pairs = [_scale_and_minimum(b[4:16], i // 32) for i in range(256)]
    return [
        _half(b, 0) * scale * code - _half(b, 2) * minimum
        for code, (scale, minimum) in zip(codes, pairs, strict=True)
    ]


def _q6_k(b: bytes) -> list[float]:
    found = []
    for i in range(256):
        high = b[128 + i // 128 * 32 + i % 32] >> i % 128 // 32 * 2 & 3
        code = _nibble(b, 0, i, 64) | high << 4
        found.append(_half(b, 208) * _signed(b[192 + i // 16]) * (code - 32))
    return found


_READERS: Mapping[str, Callable[[bytes], list[float]]] = MappingProxyType(
    {
        "q4_0": _q4_0,
        "q4_1": _q4_1,
        "q5_0": _q5_0,
        "q5_1": _q5_1,
        "q8_0": _q8_0,
        "q4_k": _q4_k,
        "q5_k": _q5_k,
        "q6_k": _q6_k,
    }
)
"""By kind."""
SIZES: Mapping[str, tuple[int, int, tuple[int, ...]]] = MappingProxyType(
    {
        "q4_0": (32, 18, (0,)),
        "q4_1": (32, 20, (0, 2)),
        "q5_0": (32, 22, (0,)),
        "q5_1": (32, 24, (0, 2)),
        "q8_0": (32, 34, (0,)),
        "q4_k": (256, 144, (0, 2)),
        "q5_k": (256, 176, (0, 2)),
        "q6_k": (256, 210, (208,)),
    }
)
"""Numbers and bytes of a block, and where its 16-bit floats begin."""


def numbers_of_blocks(kind: str, rows: NDArray[np.uint8]) -> NDArray[np.float64]:
    """``(out, bytes) -> (out, in)``: Python's floats hold each sum exactly, and round once."""
    size = SIZES[kind][1]
    read = _READERS[kind]
    found = [
        [n for at in range(0, len(row), size) for n in read(row[at : at + size].tobytes())]
        for row in rows
    ]
    return np.array(found).astype(np.float32).astype(np.float64)


def numbers_of_codes(
    codes: NDArray[np.int64], scales: NDArray[np.float32], zeros: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(code - zero) · scale, rounded once: ``(out, in)`` and ``(out, groups)`` twice."""
    each = codes.shape[1] // scales.shape[1]
    spread = [np.repeat(x.astype(np.float64), each, 1) for x in (scales, zeros)]
    return ((codes - spread[1]) * spread[0]).astype(np.float32).astype(np.float64)
