"""The documentation names every hook with its exact signature."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from lmkernel.plugins import hookspecs

DOCS = Path(__file__).parents[2] / "docs" / "plugins.md"
HOOKS = [name for name in vars(hookspecs) if name.startswith("lmkernel_register_")]


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_is_documented_with_its_signature(hook: str) -> None:
    signature = str(inspect.signature(getattr(hookspecs, hook))).replace("'", "")
    assert f"`{hook}{signature}`" in DOCS.read_text("utf-8")


def test_documented_hooks_exist() -> None:
    words = DOCS.read_text("utf-8").replace("(", " ").replace("`", " ").split()
    named = {word for word in words if word.startswith("lmkernel_register_")}
    assert named == set(HOOKS)
