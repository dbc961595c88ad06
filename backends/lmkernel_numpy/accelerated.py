"""Products of a few rows with codes of 4 and 8 bits, compiled by Numba where it is installed.

Constraints: nothing else changes where it is not. Compiled functions are kept on disk, so that a
second process compiles nothing. They hold no lock of Python's, and the rows of a weight are shared
out to plain threads, which a fork and other threads of the program do not disturb.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_numpy.traces import is_traced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.blocks import Blocks
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Delta, Ops

__all__ = ["accelerated"]

_FEW = 4
"""Rows up to which codes are multiplied as they are; more are worth expanding once."""
_LEAST = 1 << 16
"""Codes of a weight that are worth a second thread."""


@final
class _Codes(dict[str, Any]):
    """What the composition packs, for a kind that has a product of its own."""


def accelerated(composed: Ops, table: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    """The operations that change, by name; none without Numba.

    Args:
        composed: the operations without any override.
        table: the backend's other overrides.
    """
    if importlib.util.find_spec("numba") is None:
        return {}
    plain = table["linear"]

    def pack_blocks(weight: Blocks, dtype: DType) -> Any:
        handle = composed.pack_blocks(weight, dtype)
        fits = weight.kind in ("int4", "int8") and dtype == "float32" and weight.zeros is None
        even = weight.scales is not None and weight.shape[1] // weight.scales.shape[1] % 2 == 0
        return _Codes(handle) if fits and even else handle

    def linear(x: Array, weight: Any, bias: Array | None = None, delta: Delta | None = None) -> Any:
        if type(weight) is not _Codes:
            return plain(x, weight, bias, delta)
        if is_traced(x, bias, delta) or x.size > _FEW * x.shape[-1]:
            return composed.linear(x, dict(weight), bias, delta)
        y = _product(x, weight)
        if bias is not None:
            y += bias
        return y if delta is None else y + plain(plain(x, delta[0]), delta[1])

    def unpack_linear(weight: Any) -> Array:
        return composed.unpack_linear(dict(weight) if type(weight) is _Codes else weight)

    def take_rows(weight: Any, indices: Array) -> Array:
        return composed.take_rows(dict(weight) if type(weight) is _Codes else weight, indices)

    return {
        "pack_blocks": pack_blocks,
        "linear": linear,
        "unpack_linear": unpack_linear,
        "take_rows": take_rows,
    }


def _product(x: Array, weight: _Codes) -> Array:
    """``x (…, in)`` times the transpose of the weight."""
    [(key, (words, scales))] = weight.items()
    rows = np.ascontiguousarray(x.reshape(-1, x.shape[-1]))
    codes, groups = words.view(np.uint8), scales.shape[1]
    multiply = _kernels()[key.partition("/")[0]]
    if key.startswith("int4"):  # the first codes of all pairs, then the second ones
        pairs = rows.reshape(len(rows), groups, -1, 2)
        rows = np.ascontiguousarray(pairs.swapaxes(2, 3)).reshape(rows.shape)
    y = np.empty((len(rows), len(codes)), np.float32)
    parts = 1 if codes.size < _LEAST else _threads()
    ends = [len(codes) * part // parts for part in range(parts + 1)]
    shares = [
        _pool(os.getpid()).submit(multiply, rows, codes, scales, y, *ends[part : part + 2])
        for part in range(1, parts)
    ]
    multiply(rows, codes, scales, y, 0, ends[1])
    for share in shares:
        share.result()
    return y.reshape(*x.shape[:-1], len(codes))


def _threads() -> int:
    """As many as BLAS takes: one for each processor, or what the environment says."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(said) if said.isdecimal() else os.cpu_count() or 1)


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of a process; a child that was forked has none of its parent's."""
    return ThreadPoolExecutor(max(1, _threads() - 1), f"lmkernel-{process}")


@functools.cache
def _kernels() -> Mapping[str, Callable[..., None]]:
    from lmkernel_numpy.kernels import int4, int8

    return MappingProxyType({"int4": int4, "int8": int8})
