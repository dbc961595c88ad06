"""``lmkernel backends``: what is registered, what is installed, and, if asked, what works."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import paint, painter
from lmkernel.listing.backends import backends, selected_backend
from lmkernel.plugins import BackendSpec, default_registry
from lmkernel.plugins.registry import ENVIRONMENT_VARIABLE, HOOKS

if TYPE_CHECKING:
    import argparse


__all__ = ["Backends"]


@final
class Backends(Command):
    """One row for each backend; faults of plugins go to standard error."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """How to print, and whether to try."""
        parser.add_argument("--json", action="store_true", help="print a list of objects")
        parser.add_argument(
            "--probe", action="store_true", help="load each installed backend and multiply with it"
        )

    def run(self, args: argparse.Namespace) -> int:
        """Print the list; the code is 1 if a probed backend is broken."""
        found = backends(probe=args.probe)
        _find_faults()
        text = found.text(painter(sys.stdout))
        print(json.dumps(found.json(), indent=2) if args.json else text)
        return int(not found.works)


def _find_faults() -> None:
    """Ask every plugin for all that it registers; what is wrong is told as it is found."""
    for kind in HOOKS:
        default_registry().all(kind)
    if selected_backend() not in default_registry().all(BackendSpec):
        text = f"{ENVIRONMENT_VARIABLE} selects {selected_backend()!r}, which is not registered"
        print(f"lmkernel: {paint('warning:', 'yellow', sys.stderr)} {text}", file=sys.stderr)
