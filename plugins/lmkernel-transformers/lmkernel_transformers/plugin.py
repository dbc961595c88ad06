"""Registers the subject; imports neither torch nor transformers."""

from __future__ import annotations

from lmkernel.plugins import SubjectSpec, hookimpl


@hookimpl
def lmkernel_register_subjects() -> list[SubjectSpec]:
    """Two subjects."""
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
                "pictures",
                "sounds",
                "shown",
            ),
            requires=("transformers", "torch"),
            install="pip install transformers torch",
        ),
        SubjectSpec(
            name="sentence-transformers",
            contract="1.2",
            load="lmkernel_transformers.sentences:SentenceSubject",
            help="sentence-transformers on PyTorch, vectors of sentences; option device=NAME",
            capabilities=("activations", "batch", "tokenizer"),
            requires=("sentence_transformers",),
            install="pip install sentence-transformers",
        ),
    ]
