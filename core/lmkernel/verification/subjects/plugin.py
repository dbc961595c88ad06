"""Registers the built-in subjects; imports none of them."""

from __future__ import annotations

from lmkernel.plugins import SubjectSpec, hookimpl


@hookimpl
def lmkernel_register_subjects() -> list[SubjectSpec]:
    """What can be verified without installing anything."""
    return [
        SubjectSpec(
            name="backend",
            contract="1.2",
            load="lmkernel.verification.subjects.backend:BackendSubject",
            help="backend:NAME, or NAME alone: one of lmkernel's own backends",
            capabilities=(
                "activations",
                "batch",
                "left-padding",
                "positions",
                "decoding",
                "checkpoints",
                "target",
                "pictures",
                "sounds",
                "shown",
            ),
        ),
        SubjectSpec(
            name="python",
            contract="1.2",
            load="lmkernel.verification.subjects.python:open_function",
            help="python:MODULE:FUNCTION, a function of ids that returns logits",
            capabilities=(
                "activations",
                "batch",
                "left-padding",
                "positions",
                "checkpoints",
                "target",
                "pictures",
                "sounds",
                "shown",
            ),
        ),
        SubjectSpec(
            name="file",
            contract="1.2",
            load="lmkernel.verification.subjects.file:open_file",
            help="file:PATH, answers in .npz, .safetensors or .jsonl, or llama.cpp's or MaxText's",
            capabilities=("activations", "positions", "target"),
        ),
        SubjectSpec(
            name="stdio",
            contract="1.2",
            load="lmkernel.verification.subjects.stdio:StdioSubject",
            help="stdio:COMMAND, a program that answers a line of JSON with a line of JSON",
            capabilities=(
                "activations",
                "batch",
                "left-padding",
                "positions",
                "decoding",
                "checkpoints",
                "target",
            ),
        ),
        SubjectSpec(
            name="http",
            contract="1.2",
            load="lmkernel.verification.subjects.http:HttpSubject",
            help="http:URL, a server of completions; options model, serve, last, batch",
            capabilities=("batch", "checkpoints"),
        ),
    ]
