"""Registers the NumPy backend; imports no framework."""

from __future__ import annotations

from lmkernel.contract.capabilities import Capabilities
from lmkernel.plugins import BackendSpec, hookimpl


@hookimpl
def lmkernel_register_backends() -> list[BackendSpec]:
    """The default backend."""
    return [
        BackendSpec(
            name="numpy",
            contract="1.2",
            load="lmkernel_numpy.backend:create",
            requires=("numpy", "autograd"),
            distributions=("numpy", "autograd"),
            install="pip install lmkernel",
            capabilities=Capabilities(bitwise={"cpu": ("runs",)}),
            description="NumPy on the CPU, gradients through autograd",
        )
    ]
