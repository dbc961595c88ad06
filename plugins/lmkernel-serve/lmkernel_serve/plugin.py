"""Registers the command; imports the server when it is run, not before."""

from __future__ import annotations

from lmkernel.plugins import CommandSpec, hookimpl


@hookimpl
def lmkernel_register_commands() -> list[CommandSpec]:
    """The command ``lmkernel serve``."""
    return [
        CommandSpec(
            name="serve",
            load="lmkernel_serve.command:Serve",
            contract="1.0",
            help="answer OpenAI's interface over HTTP with one model or several",
        )
    ]
