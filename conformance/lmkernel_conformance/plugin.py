"""Registers the suite's commands; imports nothing of the suite."""

from __future__ import annotations

from lmkernel.plugins import CommandSpec, hookimpl


@hookimpl
def lmkernel_register_commands() -> list[CommandSpec]:
    """What the program can do besides."""
    return [
        CommandSpec(
            name="certify",
            load="lmkernel_conformance.cli:Certify",
            contract="1.0",
            help="test a backend against the contract, case by case",
        ),
        CommandSpec(
            name="reference",
            load="lmkernel_conformance.document.reference:Reference",
            contract="1.0",
            help="compute the document's worked examples: printed, correct, computed",
        ),
    ]
