"""``lmkernel backends``: what is registered, what is installed, and, if asked, what works."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import paint, painter
from lmkernel.listing.backends import backends, selected_backend
from lmkernel.plugins import BackendSpec, default_registry
from lmkernel.plugins.registry import ENVIRONMENT_VARIABLE

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
        _warn()
        text = found.text(painter(sys.stdout))
        print(json.dumps(found.json(), indent=2) if args.json else text)
        return int(not found.works)


def _warn() -> None:
    label = paint("warning:", "yellow", sys.stderr)
    for _, error in default_registry().problems:
        print(f"lmkernel: {label} {' '.join(str(error).split())}", file=sys.stderr)
    if selected_backend() not in default_registry().all(BackendSpec):
        text = f"{ENVIRONMENT_VARIABLE} selects {selected_backend()!r}, which is not registered"
        print(f"lmkernel: {label} {text}", file=sys.stderr)
