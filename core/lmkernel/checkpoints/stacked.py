"""Tensors that a checkpoint has once for each expert, as one tensor with an axis of experts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.tensors import Tensors
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.contract.blocks import Blocks

__all__ = ["StackedExperts"]

_EXPERT = re.compile(r"(?<=\.experts\.)(\d{1,6})(?=\.)")


@final
class StackedExperts(Tensors):
    """The same tensors; ``….experts.{e}.…`` is the name of those of all experts together.

    A checkpoint that has them together already, under that name, is read as it is.

    Args:
        tensors: the checkpoint's.

    Raises:
        CheckpointError: experts are not numbered from 0, or their tensors have other shapes.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._members: dict[str, dict[int, str]] = {}
        self._whole = frozenset(name for name in tensors.names() if "{e}" in name)
        for name in tensors.names():
            found = _EXPERT.search(name)
            number = int(found[0]) if found else 0
            whole = _EXPERT.sub("{e}", name, count=1)
            self._members.setdefault(whole, {})[number] = name
        for whole, members in self._members.items():
            if set(members) != set(range(len(members))):
                absent = next(n for n in range(len(members) + 1) if n not in members)
                missing = whole.replace("{e}", str(absent))
                lies = tensors.unlisted(missing)
                raise CheckpointError(f"the tensor {missing!r} is missing{lies}")

    def names(self) -> tuple[str, ...]:
        """Every name, those of experts together."""
        return tuple(self._members)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape, experts first."""
        members = self._of(name)
        shapes = {self._tensors.shape(member) for member in members}
        if len(shapes) > 1:
            raise CheckpointError(f"tensors {name!r}: expected one shape, got {sorted(shapes)}")
        [one] = shapes
        return (len(members), *one) if self._is_apart(name) else one

    def dtype(self, name: str) -> str:
        """The stored type."""
        return self._tensors.dtype(self._of(name)[0])

    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        """The values: a view, or a copy of the experts'."""
        members = self._of(name)
        if not self._is_apart(name):
            return self._tensors.read(members[0], dtype)
        return np.stack([self._tensors.read(member, dtype) for member in members])

    def _is_apart(self, name: str) -> bool:
        """Whether experts have tensors of their own."""
        return "{e}" in name and name not in self._whole

    def blocks(self, name: str) -> Blocks | None:
        """What is stored; experts, whose matrices are chosen by row, come as numbers."""
        return None if "{e}" in name else self._tensors.blocks(self._of(name)[0])

    def unlisted(self, name: str) -> str:
        """Where a tensor lies that is not listed; see `Tensors.unlisted`."""
        return self._tensors.unlisted(name)

    def _of(self, name: str) -> list[str]:
        members = self._members.get(name, {0: name})
        return [members[number] for number in sorted(members)]
