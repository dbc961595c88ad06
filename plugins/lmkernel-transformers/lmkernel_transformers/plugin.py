"""Registers the subject; imports neither torch nor transformers."""

from __future__ import annotations

from lmkernel.plugins import SubjectSpec, hookimpl


@hookimpl
def lmkernel_register_subjects() -> list[SubjectSpec]:
    """One subject."""
    return [
        SubjectSpec(
            name="transformers",
            contract="1.2",
            load="lmkernel_transformers.subject:TransformersSubject",
            help="transformers on PyTorch; options attn=eager|sdpa, compile=1, device=NAME",
            capabilities=(
                "activations",
                "batch",
                "left-padding",
                "positions",
                "decoding",
                "checkpoints",
                "tokenizer",
                "target",
            ),
            requires=("transformers", "torch"),
            install="pip install transformers torch",
        )
    ]
