"""Some of a checkpoint's tensors, under other names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.tensors import Tensors, unknown_tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.contract.blocks import Blocks

__all__ = ["RenamedTensors"]


@final
class RenamedTensors(Tensors):
    """Tensors by other names; the rest are as if they were not there.

    Args:
        tensors: the checkpoint's.
        names: the names that they are stored under, by those that they have here.
        path: the checkpoint, for messages.
    """

    def __init__(self, tensors: Tensors, names: Mapping[str, str], path: Path) -> None:
        self._tensors, self._names, self._path = tensors, names, path

    def names(self) -> tuple[str, ...]:
        """Every name that they have here."""
        return tuple(self._names)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of the tensor that is stored under another name."""
        return self._tensors.shape(self._stored(name))

    def dtype(self, name: str) -> str:
        """Its stored type."""
        return self._tensors.dtype(self._stored(name))

    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        """Its values."""
        return self._tensors.read(self._stored(name), dtype)

    def blocks(self, name: str) -> Blocks | None:
        """Its blocks, where it is quantised."""
        return self._tensors.blocks(self._stored(name))

    def _stored(self, name: str) -> str:
        if name not in self._names:
            raise unknown_tensor(self._path, name, self._names)
        return self._names[name]
