"""One tensor of a checkpoint that holds several parameters: taken apart, and put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.interfaces import Param

__all__ = ["join_rows", "join_stack", "split_rows", "split_stack", "stacked_shape", "zero_rows"]


def split_rows(
    whole: NDArray[Any], ours: Mapping[str, Param], groups: int
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Our parameters, of whose rows a tensor holds a share each in every group.

    They are views where there is one group.
    """
    grouped, row = whole.reshape(groups, -1, *whole.shape[1:]), 0
    for name, param in ours.items():
        share = param.shape[0] // groups
        yield name, grouped[:, row : row + share].reshape(param.shape)
        row += share


def join_rows(parts: Sequence[NDArray[Any]], groups: int) -> NDArray[Any]:
    """The tensor that `split_rows` takes apart."""
    shares = [part.reshape(groups, -1, *part.shape[1:]) for part in parts]
    return np.concatenate(shares, 1).reshape(-1, *parts[0].shape[1:])


def stacked_shape(one: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The shape of the stack that holds so many parameters of a shape."""
    experts, rows, *more = one
    return (experts, *more, rows * count)


def split_stack(whole: NDArray[Any], count: int) -> list[NDArray[Any]]:
    """Parameters (expert, out, in), or (expert, out), whose columns take turns in the tensor."""
    rows = whole.swapaxes(1, -1)
    return [rows[:, turn::count] for turn in range(count)]


def join_stack(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The tensor (expert, in, out), or (expert, out), that `split_stack` takes apart."""
    turns = np.stack(parts, 2)
    experts, rows, count, *more = turns.shape
    return turns.reshape(experts, rows * count, *more).swapaxes(1, -1)


def zero_rows(known: Mapping[str, Param], absent: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Zeros for those parameters that a checkpoint leaves out."""
    return {name: np.zeros(known[name].shape, np.float32) for name in absent if name in known}
