"""Registers the MLX backend without importing MLX."""

from __future__ import annotations

from lmkernel.contract.capabilities import Capabilities
from lmkernel.plugins import BackendSpec, hookimpl


@hookimpl
def lmkernel_register_backends() -> list[BackendSpec]:
    """MLX on the CPU, since its GPU has no float64, which the contract asks for."""
    return [
        BackendSpec(
            name="mlx",
            load="lmkernel_mlx.backend:create",
            contract="1.2",
            requires=("mlx.core",),
            distributions=("mlx",),
            install="pip install 'lmkernel-mlx[cpu]'",
            capabilities=Capabilities(
                dtypes=("float32", "float64", "bfloat16", "float16"),
                bitwise={"cpu": ("runs",)},
            ),
            description="MLX, lazy, on the CPU",
        )
    ]
