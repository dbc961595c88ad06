"""Registers the TensorFlow backend; imports no framework."""

from __future__ import annotations

from lmkernel.contract.capabilities import Capabilities
from lmkernel.plugins import BackendSpec, hookimpl


@hookimpl
def lmkernel_register_backends() -> list[BackendSpec]:
    """TensorFlow, compiled."""
    return [
        BackendSpec(
            name="tensorflow",
            contract="1.0",
            load="lmkernel_tensorflow.backend:create",
            requires=("tensorflow",),
            distributions=("tensorflow", "tensorflow-cpu"),
            install="pip install 'lmkernel[tensorflow]'",
            capabilities=Capabilities(
                dtypes=("float32", "float64", "bfloat16", "float16"),
                devices=("cpu", "gpu"),
                compiled=True,
                shape_step=64,
            ),
            native=("keras",),
            description="TensorFlow through XLA, on CPU or GPU",
        )
    ]
