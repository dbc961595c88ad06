"""How the tensors beside a module's name make its weight."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.checkpoints.coded import Coded
    from lmkernel.checkpoints.tensors import Tensors

__all__ = ["Method", "require_fit", "rows_of"]


class Method(ABC):
    """How the tensors beside a module's name make its weight.

    Args:
        tensors: the checkpoint's.
        said: the configuration's words.

    Attributes:
        markers: endings of the tensors that hold codes.
        beside: endings of the others that belong to them, as whole names or up to a star.
        where: the file and key of the configuration's words, for messages.
    """

    markers: tuple[str, ...]
    beside: tuple[str, ...]
    where: str = "quantization_config"

    def __init__(self, tensors: Tensors, said: Mapping[str, Any]) -> None:
        self.tensors, self.said = tensors, said
        self.names = frozenset(tensors.names())

    def holds(self, module: str, marker: str) -> bool:
        """Whether a module that has such a tensor is quantised."""
        del marker
        return any(f"{module}.{end}" in self.names for end in self.beside)

    @abstractmethod
    def shape(self, module: str) -> tuple[int, int]:
        """``(out, in)``, without reading."""

    @abstractmethod
    def read(self, module: str) -> Coded:
        """The codes."""

    def part(self, module: str, end: str) -> NDArray[Any]:
        """One tensor of a module; `CheckpointError` if it is missing."""
        return self.tensors.read(f"{module}.{end}")

    def floats(self, module: str, end: str) -> NDArray[np.float32]:
        """The same in float32."""
        return self.part(module, end).astype(np.float32)


def rows_of(scales: NDArray[Any], out: int) -> NDArray[Any]:
    """One for all, or one a row, or several, as ``(out, groups)``.

    Raises:
        ValueError: they are for something else.
    """
    if scales.size == 1:
        return np.full((out, 1), scales.reshape(-1)[0])
    if scales.shape[0] != out:
        raise ValueError(f"expected one of all, or of each of {out} rows, got {scales.shape}")
    return scales.reshape(out, -1)


def require_fit(coded: Coded, module: str) -> Coded:
    """`CheckpointError` unless scales and zeros fit the codes."""
    (out, width), groups = coded.codes.shape, coded.scales.shape[-1]
    zeros = coded.scales if coded.zeros is None else coded.zeros
    if coded.scales.shape != (out, groups) or zeros.shape != (out, groups) or width % groups:
        raise CheckpointError(
            f"{module}: expected scales and zeros for groups of a weight {(out, width)}, got "
            f"{coded.scales.shape} and {zeros.shape}"
        )
    return coded
