"""Creates the PyTorch backend, with the library's own kernels where the contract allows."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

import torch

from lmkernel.backend import BackendParts, require_present
from lmkernel.composed import assemble
from lmkernel_keras import as_keras
from lmkernel_torch.few_bits import PackedCodes, takes
from lmkernel_torch.module import as_module
from lmkernel_torch.ops import TorchOps
from lmkernel_torch.overrides import OVERRIDES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.contract.blocks import Blocks
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.optional import PackedLinear

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """The parts of the backend on ``device``, such as ``"cpu"`` or ``"cuda:1"``.

    Raises:
        CapabilityError: the device is not there.
    """
    require_present("torch", device, ("cpu", "cuda", "mps"), _device_count)
    mandatory = TorchOps(torch.device(device))
    composed = assemble(mandatory, {})

    def pack_blocks(weight: Blocks, dtype: DType) -> PackedLinear:
        if not takes(weight):
            return composed.pack_blocks(weight, dtype)
        return PackedCodes(weight, dtype, torch.device(device))

    return BackendParts(
        mandatory=mandatory,
        overrides={**OVERRIDES, "pack_blocks": pack_blocks},
        inference=torch.inference_mode,
        strict=_strict,
        native={"module": as_module, "keras": functools.partial(as_keras, framework="torch")},
    )


def _device_count(kind: str) -> int:
    if kind == "cuda":  # with a driver too old for this build, some are counted, none available
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return int(torch.backends.mps.is_available()) if kind == "mps" else 1


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """Full float32 products; the setting is the whole process's, so it is restored."""
    kept = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(kept)
