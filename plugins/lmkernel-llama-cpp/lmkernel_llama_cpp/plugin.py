"""Registers the subject; does not import llama_cpp."""

from __future__ import annotations

from lmkernel.plugins import SubjectSpec, hookimpl


@hookimpl
def lmkernel_register_subjects() -> list[SubjectSpec]:
    """One subject."""
    return [
        SubjectSpec(
            name="llama-cpp",
            contract="1.2",
            load="lmkernel_llama_cpp.subject:LlamaCppSubject",
            help="llama.cpp on a GGUF file; options threads=N, batch=N",
            capabilities=("positions", "decoding", "tokenizer"),
            requires=("llama_cpp", "gguf"),
            install="pip install llama-cpp-python gguf",
        )
    ]
