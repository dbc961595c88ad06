"""``lmkernel twin``: a small random checkpoint of the same structure as a model."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import painter

if TYPE_CHECKING:
    import argparse

__all__ = ["Twin"]


@final
class Twin(Command):
    """Writes it, and says what became of each size."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the folder, and how small."""
        parser.add_argument(
            "model", metavar="CONFIG_OR_MODEL", help="a config.json, its folder, or a model"
        )
        parser.add_argument("out", metavar="OUT", help="the folder to make")
        parser.add_argument("--layers", type=int, metavar="N", help="its layers; default 4")
        parser.add_argument(
            "--like", action="store_true", help="with the model's own widths, and few layers"
        )
        parser.add_argument("--seed", type=int, default=0, metavar="S", help="default 0")
        parser.add_argument(
            "--overwrite", action="store_true", help="replace a folder that is there"
        )
        parser.add_argument("--json", action="store_true", help="print one object")

    def run(self, args: argparse.Namespace) -> int:
        """Write it."""
        from lmkernel.verification.twin import twin

        made = twin(
            args.model,
            args.out,
            layers=args.layers,
            like=args.like,
            seed=args.seed,
            overwrite=args.overwrite,
        )
        print(json.dumps(made.json()) if args.json else made.text(painter(sys.stdout)))
        return 0
