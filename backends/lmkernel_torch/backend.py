"""Creates the PyTorch backend, with the library's own kernels where the contract allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from lmkernel.backend import BackendParts
from lmkernel_torch.ops import TorchOps

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Delta

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """The parts of the backend on ``device``, such as ``"cpu"`` or ``"cuda:1"``."""
    return BackendParts(
        mandatory=TorchOps(torch.device(device)),
        overrides={
            "softmax": _softmax,
            "log_softmax": _log_softmax,
            "linear": _linear,
            "relu": torch.relu,
            "silu": functional.silu,
            "gelu": functional.gelu,
            "gelu_tanh": _gelu_tanh,
            "layer_norm": _layer_norm,
            "rms_norm": _rms_norm,
        },
    )


def _linear(
    x: Array, weight: Array, bias: Array | None = None, delta: Delta | None = None
) -> Array:
    y = functional.linear(x, weight, bias)
    if delta is None:
        return y
    return y + functional.linear(functional.linear(x, delta[0]), delta[1])


def _softmax(x: Array, axis: int = -1) -> Array:
    return torch.softmax(x, axis)


def _log_softmax(x: Array, axis: int = -1) -> Array:
    return torch.log_softmax(x, axis)


def _gelu_tanh(x: Array) -> Array:
    return functional.gelu(x, approximate="tanh")


def _layer_norm(x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
    return functional.layer_norm(x, x.shape[-1:], weight, bias, eps)


def _rms_norm(x: Array, weight: Array, eps: float) -> Array:
    return functional.rms_norm(x, x.shape[-1:], weight, eps)
