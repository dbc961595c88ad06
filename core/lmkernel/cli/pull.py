"""``lmkernel pull``: fetch a model by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command

if TYPE_CHECKING:
    import argparse

__all__ = ["Pull"]


@final
class Pull(Command):
    """Prints the model's folder once it is there."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model's name, and whether to fetch it again."""
        parser.add_argument(
            "name", metavar="NAME", help="one that `lmkernel models` lists, or hf:ORG/NAME"
        )
        parser.add_argument("--force", action="store_true", help="fetch it even if it is there")

    def run(self, args: argparse.Namespace) -> int:
        """Fetch it."""
        from lmkernel.verbs import pull

        print(pull(args.name, force=args.force))
        return 0
