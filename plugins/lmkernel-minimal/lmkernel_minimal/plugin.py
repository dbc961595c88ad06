"""Registers the backend, importing nothing of it until it is selected."""

from __future__ import annotations

from lmkernel.contract.capabilities import Capabilities
from lmkernel.plugins import BackendSpec, hookimpl

NO_GRADIENTS = "it is for inference alone"


@hookimpl
def lmkernel_register_backends() -> list[BackendSpec]:
    """The specification of the backend, which needs nothing loaded."""
    return [
        BackendSpec(
            name="minimal",
            load="lmkernel_minimal.ops:create",
            contract="1.0",
            requires=("numpy",),
            distributions=("numpy",),
            install="pip install lmkernel-minimal",
            capabilities=Capabilities(unsupported={"value_and_grad": NO_GRADIENTS}),
            description="the mandatory tier alone, on NumPy, for inference",
        )
    ]
