"""Registers the JAX backend; imports no framework."""

from __future__ import annotations

from lmkernel.contract.capabilities import Capabilities
from lmkernel.plugins import BackendSpec, hookimpl


@hookimpl
def lmkernel_register_backends() -> list[BackendSpec]:
    """JAX, compiled."""
    return [
        BackendSpec(
            name="jax",
            contract="1.2",
            load="lmkernel_jax.backend:create",
            distribute="lmkernel_jax.distribution:distribute",
            requires=("jax",),
            distributions=("jax",),
            install="pip install 'lmkernel[jax]'",
            capabilities=Capabilities(
                dtypes=("float32", "float64", "bfloat16", "float16"),
                devices=("cpu", "gpu", "tpu"),
                compiled=True,
                shape_step=64,
                bitwise={"cpu": ("runs",)},
            ),
            native=("function", "keras"),
            description="JAX through XLA, on CPU, GPU or TPU",
        )
    ]
