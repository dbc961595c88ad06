"""``lmkernel models``: what is known by name, and what is on this machine."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import painter

if TYPE_CHECKING:
    import argparse

__all__ = ["Models"]


@final
class Models(Command):
    """One row for each model that a source names or that was pulled."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """How to print."""
        parser.add_argument("--json", action="store_true", help="print a list of objects")

    def run(self, args: argparse.Namespace) -> int:
        """Print the list."""
        from lmkernel.listing.models import models

        found = models()
        text = found.text(painter(sys.stdout))
        print(json.dumps(found.json(), indent=2) if args.json else text)
        return 0
