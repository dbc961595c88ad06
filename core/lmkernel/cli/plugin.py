"""Registers the built-in commands; imports none of them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel.plugins import CommandSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

_HELP: Mapping[str, str] = MappingProxyType(
    {
        "backends": "list the backends and what each declares",
        "models": "list the models that are known by name or here already",
        "pull": "fetch a model by name",
        "chat": "talk with a model",
        "generate": "continue a prompt",
        "pretrain": (
            "train a model on unlabelled text; without arguments, a small one in two minutes"
        ),
        "finetune": "go on training a model on instructions, labels or text",
        "evaluate": "measure a model on data: loss, perplexity, accuracy",
        "compare": "run one prompt on several backends and compare what comes out",
        "new": "begin a backend or another plugin: a distribution that installs and runs at once",
    }
)
"""By name; the module of a command is named after it, and so is the class in it."""


@hookimpl
def lmkernel_register_commands() -> list[CommandSpec]:
    """What the program can do, in the order of its help."""
    return [
        CommandSpec(
            name=name, contract="1.0", load=f"lmkernel.cli.{name}:{name.title()}", help=text
        )
        for name, text in _HELP.items()
    ]
