"""Registers the built-in model families; imports none of them."""

from __future__ import annotations

from lmkernel.plugins import FamilySpec, hookimpl


@hookimpl
def lmkernel_register_families() -> list[FamilySpec]:
    """By ``model_type``."""
    return [FamilySpec(name="llama", contract="0.3", load="lmkernel.families.llama:Llama")]
