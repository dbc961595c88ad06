"""The parameters in one tensor of a checkpoint: as numbers, or as they are stored."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import CheckpointError
from lmkernel.families.shares import split_rows, split_stack
from lmkernel.parameters.later import Later

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.checkpoints.tensors import Tensors
    from lmkernel.contract.blocks import Blocks
    from lmkernel.families.names import Rule
    from lmkernel.interfaces import Param
    from lmkernel.parameters.holding import Holding

__all__ = ["read_parts"]


def read_parts(
    tensors: Tensors,
    rule: Rule,
    names: Sequence[str],
    ours: Mapping[str, Param],
    where: str,
    holding: Holding,
) -> tuple[dict[str, Any], int]:
    """Our parameters by dotted name, and the number of bytes read.

    Args:
        tensors: the checkpoint's.
        rule: how the tensor holds them.
        names: those that it goes by there.
        ours: the parameters that it holds.
        where: the checkpoint's path, for messages.
        holding: what becomes of each.
    """
    stored = _as_stored(tensors, rule, names, ours) if holding.stored else None
    if stored is not None:
        return holding.keep(dict(_parts_of_blocks(stored, ours)), ours), stored.nbytes
    if holding.later and len(names) == len(ours) == 1:
        [(name, param)] = ours.items()

        def read() -> NDArray[Any]:
            return dict(_parts(tensors.read(names[0]), rule, ours))[name]

        number = np.dtype(np.float32)
        later = {name: Later(param.shape, number, read)}
        return holding.keep(later, ours), math.prod(param.shape) * number.itemsize
    whole = _read_once(tensors, names, where)
    parts = dict(_parts(whole, rule, ours))
    return holding.keep(parts, ours), whole.nbytes


def _as_stored(
    tensors: Tensors, rule: Rule, names: Sequence[str], ours: Mapping[str, Param]
) -> Blocks | None:
    """A quantised weight, if its rows are rows of ours."""
    other = rule.transpose or rule.row or rule.stacked or rule.stored is not None
    plain = not other and rule.groups == 1 and len(names) == 1
    packed = all(param.linear for param in ours.values())
    return tensors.blocks(names[0]) if plain and packed else None


def _parts_of_blocks(whole: Blocks, ours: Mapping[str, Param]) -> Iterator[tuple[str, Blocks]]:
    """Our parameters, one after the other."""
    row = 0
    for name, param in ours.items():
        yield name, whole.rows(slice(row, row + param.shape[0]))
        row += param.shape[0]


def _read_once(tensors: Tensors, names: Sequence[str], where: str) -> NDArray[Any]:
    """The values of a tensor that may be there under several names, each with the same values."""
    first, *others = names
    values = tensors.read(first)
    for name in others:
        if not np.array_equal(values, tensors.read(name)):
            raise CheckpointError(
                f"{where}: expected the same values of {first!r} and {name!r}, which are two names "
                "of one tensor, got others"
            )
    return values


def _parts(
    whole: NDArray[Any], rule: Rule, ours: Mapping[str, Param]
) -> Iterable[tuple[str, NDArray[Any]]]:
    """Our parameters of a tensor; views wherever that is possible."""
    if rule.stored is not None:
        return ((name, whole.reshape(param.shape)) for name, param in ours.items())
    if rule.stacked:
        return zip(ours, split_stack(whole, len(ours)), strict=True)
    return split_rows(whole.T if rule.transpose or rule.row else whole, ours, rule.groups)
