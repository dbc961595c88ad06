"""The interface of a command."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lmkernel.plugins import Registry

__all__ = ["Command"]


class Command(ABC):
    """One command of the program, made anew for each run.

    Results go to standard output, everything else to standard error. An `LmkernelError` that `run`
    lets through becomes one line and exit code 1.

    Args:
        registry: the plugins of this run.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @property
    def registry(self) -> Registry:
        """The plugins of this run."""
        return self._registry

    @abstractmethod
    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own arguments; the parser has its name and help already."""

    @abstractmethod
    def run(self, args: argparse.Namespace) -> int:
        """Do it and return the exit code, 0 if all is well."""
