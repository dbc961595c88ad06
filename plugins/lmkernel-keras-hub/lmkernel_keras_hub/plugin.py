"""Registers the subject; imports neither Keras nor KerasHub."""

from __future__ import annotations

from lmkernel.plugins import SubjectSpec, hookimpl


@hookimpl
def lmkernel_register_subjects() -> list[SubjectSpec]:
    """One subject."""
    return [
        SubjectSpec(
            name="keras-hub",
            contract="1.2",
            load="lmkernel_keras_hub.subject:KerasHubSubject",
            help="KerasHub on a backend of Keras; option backend=tensorflow|jax|torch",
            capabilities=("activations", "batch", "checkpoints"),
            requires=("keras_hub", "keras"),
            install="pip install keras-hub",
        )
    ]
