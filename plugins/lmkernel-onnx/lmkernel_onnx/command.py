"""``lmkernel export``: write a model as an ONNX file."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import painter

if TYPE_CHECKING:
    import argparse

__all__ = ["ExportCommand"]


@final
class ExportCommand(Command):
    """Writes the file, and prints its inputs and results."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the file, and how weights are held."""
        parser.add_argument("model", metavar="MODEL", help="a name, a folder or a GGUF file")
        parser.add_argument("out", metavar="OUT", help="the file to make, such as model.onnx")
        parser.add_argument(
            "--weights",
            metavar="KIND",
            help="int4 or int8, with ,group=64 or another, or stored; default float32",
        )
        parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
        parser.add_argument("--json", action="store_true", help="print one object")

    def run(self, args: argparse.Namespace) -> int:
        """Write it."""
        from lmkernel_onnx.exporting import export

        made = export(args.model, args.out, weights=args.weights, overwrite=args.overwrite)
        text = json.dumps(made.json()) if args.json else made.text(painter(sys.stdout))
        sys.stdout.write(f"{text}\n")
        return 0
