"""Registers the suite's commands, without importing the suite."""

from __future__ import annotations

from lmkernel.plugins import CommandSpec, hookimpl


@hookimpl
def lmkernel_register_commands() -> list[CommandSpec]:
    """The commands ``certify`` and ``reference``."""
    return [
        CommandSpec(
            name="certify",
            load="lmkernel_conformance.cli:Certify",
            call="lmkernel_conformance.verb:certify",
            contract="1.2",
            help="test a backend against the contract, case by case",
        ),
        CommandSpec(
            name="reference",
            load="lmkernel_conformance.tutorial.reference:Reference",
            contract="1.0",
            help="compute the tutorial's worked examples: printed, correct, computed",
        ),
    ]
