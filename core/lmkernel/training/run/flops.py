"""How much arithmetic training takes, and how much this machine does."""

from __future__ import annotations

import functools
import time

import numpy as np

__all__ = ["flops_per_token", "peak_flops"]

_SIDE = 1024
_SECONDS = 0.3


def flops_per_token(parameters: int, layers: int, width: int, context: int) -> float:
    """Floating-point operations of one training step for each token: 6·N + 12·L·D·T.

    A product and a sum for each parameter, once forward and twice backward, and the two products
    of attention over the whole context, masked or not.

    Source: arXiv:2204.02311, appendix B.

    Args:
        parameters: N, all that take part in products.
        layers: L, those with attention.
        width: D, of queries and keys, all heads together.
        context: T, positions that each token attends over.
    """
    return 6.0 * parameters + 12.0 * layers * width * context


@functools.cache
def peak_flops() -> float:
    """Floating-point operations a second of NumPy's float32 matrix product; measured once.

    The best of the products of two square matrices that fit into about 0.3 s, with the threads
    that NumPy uses: the share that a run reaches of it can be above 1 with a faster library.
    """
    left = np.full((_SIDE, _SIDE), 1.5, np.float32)
    out = np.empty_like(left)
    np.matmul(left, left, out=out)  # threads start, pages appear
    best, end = float("inf"), time.perf_counter() + _SECONDS
    while (begin := time.perf_counter()) < end:
        np.matmul(left, left, out=out)
        best = min(best, time.perf_counter() - begin)
    return 2.0 * _SIDE**3 / best
