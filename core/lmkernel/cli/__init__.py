"""The program ``lmkernel``: commands found by name, each loaded only when it is chosen."""

from lmkernel.cli.command import Command

__all__ = ["Command"]
