"""The tensors of a checkpoint, by their Hugging Face names, whatever the file format.

Constraints: nothing is read before `Tensors.read`; what is stored in the dtype asked for comes as a
view into the file's memory map, so weights are copied once at most, by the backend.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.contract.blocks import Blocks

__all__ = ["Tensors", "unknown_tensor"]


class Tensors(ABC):
    """Named tensors, read on demand."""

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Every name, in the order in which the tensors are stored."""

    @abstractmethod
    def shape(self, name: str) -> tuple[int, ...]:
        """The shape; raises `CheckpointError` for an unknown name."""

    @abstractmethod
    def dtype(self, name: str) -> str:
        """The stored type, such as ``"bfloat16"``; ``"float32"`` where it is quantised."""

    @abstractmethod
    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        """The values as a host array; not to be written to.

        Args:
            name: which tensor.
            dtype: a NumPy dtype's name; by default the stored one, float32 for bfloat16.

        Returns:
            A view into the memory map where the dtype asked for is the stored one.

        Raises:
            CheckpointError: unknown name (the closest is named), or a dtype that NumPy lacks.
        """

    def blocks(self, name: str) -> Blocks | None:
        """A quantised weight as it is stored; None for any other, and where it can't be held so."""
        del name  # files of plain tensors have none
        return None

    def unlisted(self, name: str) -> str:
        """Where a tensor lies that is not among the names, for a message; empty if nowhere."""
        del name  # most files have no list of names beside them
        return ""


def unknown_tensor(path: Path, name: str, known: Iterable[str]) -> CheckpointError:
    """The error for a name that a checkpoint does not hold, with the closest that it does."""
    close = difflib.get_close_matches(name, list(known), n=1)
    hint = f"; the closest is {close[0]!r}" if close else ""
    return CheckpointError(f"{path}: there is no tensor {name!r}{hint}")
