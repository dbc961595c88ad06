"""``lmkernel bench``: how fast a model answers here, on each backend."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import painter
from lmkernel.loading import DEFAULT_MODEL

if TYPE_CHECKING:
    import argparse

__all__ = ["Bench"]


@final
class Bench(Command):
    """Tokens a second of decoding and of prompts, as shares of what the machine allows."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, where, and how long."""
        parser.add_argument(
            "model",
            nargs="?",
            default=DEFAULT_MODEL,
            metavar="MODEL",
            help=f"a name, a folder or a GGUF file; default {DEFAULT_MODEL}",
        )
        parser.add_argument(
            "--backends", metavar="A,B,…", help="names, by commas; default all installed"
        )
        parser.add_argument("--dtype", metavar="NAME", help="of the computation; default float32")
        parser.add_argument(
            "--weights", metavar="KIND", help="how they are held: stored, int8, int4; see chat"
        )
        parser.add_argument(
            "--new-tokens", type=int, default=32, metavar="N", help="to be written; default 32"
        )
        parser.add_argument(
            "--repeats", type=int, default=5, metavar="N", help="of each speed; default 5"
        )
        parser.add_argument(
            "--quick", action="store_true", help="each speed once, for a first look"
        )
        parser.add_argument("--json", action="store_true", help="print one object")

    def run(self, args: argparse.Namespace) -> int:
        """Measure on one backend after another."""
        from lmkernel.benchmark.verb import bench

        names = None
        if args.backends is not None:
            names = [name.strip() for name in args.backends.split(",") if name.strip()]
        found = bench(
            args.model,
            names,
            dtype=args.dtype,
            weights=args.weights,
            new_tokens=args.new_tokens,
            repeats=args.repeats,
            quick=args.quick,
        )
        print(json.dumps(found.json()) if args.json else found.text(painter(sys.stdout)))
        return 0
