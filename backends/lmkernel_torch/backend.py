"""Creates the PyTorch backend, with the library's own kernels where the contract allows."""

from __future__ import annotations

import torch

from lmkernel.backend import BackendParts
from lmkernel_torch.ops import TorchOps
from lmkernel_torch.overrides import OVERRIDES

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """The parts of the backend on ``device``, such as ``"cpu"`` or ``"cuda:1"``."""
    return BackendParts(
        mandatory=TorchOps(torch.device(device)),
        overrides=OVERRIDES,
        inference=torch.inference_mode,
    )
