"""How far a channel may be off, over all positions of a row.

A row of a real model has millions of elements, of which a few are lucky in all honest runs: by
budgets of single elements, as `lmkernel.comparison.layers` takes them, an honest port in 16 bits
would be accused. So a channel has the largest honest error of its positions, and no less than that
of the median channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.comparison.layers import Deviation, Limit, limits
from lmkernel.verification.arithmetic import dtype_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["channel_limit", "deviation"]


def channel_limit(
    name: str, reference: NDArray[np.float64], honest: Iterable[NDArray[Any]]
) -> Limit:
    """The budget of one activation of one row, by channels.

    Args:
        name: the activation's.
        reference: in float64, ``(1, time, channels)``.
        honest: what each honest run makes of it.
    """
    [each] = limits([{name: reference}], ([{name: x}] for x in honest))
    largest, floor = (_by_channel(x, reference) for x in (each.honest, each.floor))
    return Limit(name, np.maximum(largest, np.median(largest)), floor)


def deviation(limit: Limit, got: NDArray[Any], want: NDArray[np.float64], dtype: str) -> Deviation:
    """How far off a row, or some of its positions, is: ``(1, time, channels)``; NaN infinitely."""
    gap = np.abs(got - want)
    return limit.judge(_by_channel(np.where(np.isnan(gap), np.inf, gap), want), dtype_of(dtype))


def _by_channel(x: NDArray[np.float64], like: NDArray[Any]) -> NDArray[np.float64]:
    made: NDArray[np.float64] = x.reshape(-1, like.shape[-1]).max(0)
    return made
