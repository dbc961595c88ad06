"""Dense layers and norms that follow a pooling, in the files of sentence-transformers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.json_files import read_object
from lmkernel.checkpoints.safetensors import open_safetensors
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.checkpoints.tensors import Tensors

__all__ = ["Dense", "Norm", "read_dense", "read_norm"]


def _gelu(x: NDArray[Any]) -> Any:
    from scipy import special  # slow to import, and no other activation needs it

    return x / 2 * (1 + special.erf(x / math.sqrt(2)))


_ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "Identity": lambda x: x,
        "Tanh": np.tanh,
        "ReLU": lambda x: np.maximum(x, 0),
        "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "GELU": _gelu,
        "SiLU": lambda x: x / (1 + np.exp(-x)),
    }
)
_EPS = 1e-5
"""That of torch's LayerNorm, which no file says."""


@final
@dataclass(frozen=True, eq=False)
class Dense:
    """act(W·x + b), of vectors on the host.

    Args:
        weight: ``(out, in)``.
        bias: ``(out,)``, or 0.
        activation: the name of the activation in torch.
    """

    weight: NDArray[Any]
    bias: NDArray[Any] | float
    activation: str

    def apply(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """``(texts, in) -> (texts, out)``; `CheckpointError` for vectors of another size."""
        _check_size(vectors, self.weight.shape[1])
        found: NDArray[Any] = _ACTIVATIONS[self.activation](vectors @ self.weight.T + self.bias)
        return found


@final
@dataclass(frozen=True, eq=False)
class Norm:
    """A layer norm of vectors on the host.

    Args:
        weight: ``(size,)``.
        bias: ``(size,)``.
    """

    weight: NDArray[Any]
    bias: NDArray[Any]

    def apply(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """``(texts, size)``, as it came; `CheckpointError` for vectors of another size."""
        _check_size(vectors, len(self.weight))
        centred = vectors - vectors.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + _EPS)
        found: NDArray[Any] = centred / deviation * self.weight + self.bias
        return found


def _check_size(vectors: NDArray[Any], size: int) -> None:
    if vectors.shape[-1] != size:
        raise CheckpointError(
            f"a layer after the pooling: expected vectors of {size} numbers, by its weight, got "
            f"{vectors.shape[-1]}"
        )


def read_dense(folder: Path) -> Dense:
    """The layer in a folder.

    Raises:
        CheckpointError: it is damaged, or asks for what is not done here.
    """
    path = folder / "config.json"
    config = read_object(path, required=True)
    name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = name.rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        expected = ", ".join(_ACTIVATIONS)
        raise CheckpointError(f"{path}: activation_function: expected {expected}, got {name!r}")
    for key, usual in (("use_residual", False), ("module_input_name", "sentence_embedding")):
        if config.get(key, usual) != usual:
            raise CheckpointError(f"{path}: {key}: expected {usual!r}, got {config[key]!r}")
    tensors = _tensors(folder)
    weight = tensors.read("linear.weight", "float32").astype(np.float64)
    wanted = (config.get("out_features"), config.get("in_features"))
    if weight.shape != wanted:
        raise CheckpointError(
            f"{folder}: expected a linear.weight of {wanted}, by config.json, got {weight.shape}"
        )
    biased = "linear.bias" in tensors.names()
    if biased != bool(config.get("bias", True)):
        raise CheckpointError(f"{folder}: expected a linear.bias where config.json says so alone")
    bias = tensors.read("linear.bias", "float32").astype(np.float64) if biased else 0.0
    if biased and np.shape(bias) != weight.shape[:1]:
        raise CheckpointError(f"{folder}: expected a linear.bias of {weight.shape[:1]}")
    return Dense(weight, bias, activation)


def read_norm(folder: Path) -> Norm:
    """The norm in a folder.

    Raises:
        CheckpointError: it is damaged.
    """
    size = read_object(folder / "config.json", required=True).get("dimension")
    tensors, found = _tensors(folder), []
    for name in ("norm.weight", "norm.bias"):
        values = tensors.read(name, "float32").astype(np.float64)
        if values.shape != (size,):
            raise CheckpointError(
                f"{folder}: expected a {name} of {(size,)}, by config.json, got {values.shape}"
            )
        found.append(values)
    return Norm(*found)


def _tensors(folder: Path) -> Tensors:
    tensors = open_safetensors(folder)
    if tensors is None:
        raise CheckpointError(f"{folder}: expected a model.safetensors")
    return tensors
