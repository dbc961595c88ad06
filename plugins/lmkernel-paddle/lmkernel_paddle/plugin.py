"""Registers the PaddlePaddle backend without importing Paddle."""

from __future__ import annotations

from lmkernel.contract.capabilities import Capabilities
from lmkernel.plugins import BackendSpec, hookimpl


@hookimpl
def lmkernel_register_backends() -> list[BackendSpec]:
    """Paddle on the CPU, whose kernels have no arithmetic of 16 bits."""
    return [
        BackendSpec(
            name="paddle",
            load="lmkernel_paddle.backend:create",
            contract="1.2",
            requires=("paddle",),
            distributions=("paddlepaddle",),
            install="pip install 'lmkernel-paddle[cpu]'",
            capabilities=Capabilities(dtypes=("float32", "float64")),
            description="PaddlePaddle, eager, on the CPU",
        )
    ]
