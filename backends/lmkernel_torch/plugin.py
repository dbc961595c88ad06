"""Registers the PyTorch backend; imports no framework."""

from __future__ import annotations

from lmkernel.contract.capabilities import Capabilities
from lmkernel.plugins import BackendSpec, hookimpl


@hookimpl
def lmkernel_register_backends() -> list[BackendSpec]:
    """PyTorch, eager."""
    return [
        BackendSpec(
            name="torch",
            contract="1.2",
            load="lmkernel_torch.backend:create",
            distribute="lmkernel_torch.distribution:distribute",
            requires=("torch",),
            distributions=("torch",),
            install="pip install 'lmkernel[torch]'",
            capabilities=Capabilities(
                dtypes=("float32", "float64", "bfloat16", "float16"),
                devices=("cpu", "cuda", "mps"),
                device_dtypes={"mps": ("float32", "bfloat16", "float16")},
                bitwise={"cpu": ("runs",)},
            ),
            native=("module", "keras"),
            description="PyTorch, eager, on CPU, CUDA or Metal",
        )
    ]
