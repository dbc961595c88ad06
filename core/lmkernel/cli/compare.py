"""``lmkernel compare``: one checkpoint on several backends, judged against float64.

With ``--layers`` it is what is computed on the way that is compared.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import painter
from lmkernel.errors import InputError

if TYPE_CHECKING:
    import argparse

__all__ = ["Compare"]


@final
class Compare(Command):
    """A row for each backend; exit code 1 if one is neither equal nor tied."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the backends and the prompts."""
        parser.add_argument("model", metavar="MODEL", help="a name, a folder or a GGUF file")
        parser.add_argument("--backends", required=True, metavar="A,B,…", help="names, by commas")
        parser.add_argument(
            "--prompt", action="append", metavar="P", help="repeatable; default: twenty fixed ones"
        )
        parser.add_argument(
            "--max-new-tokens", type=int, default=64, metavar="N", help="default 64"
        )
        parser.add_argument(
            "--dtype", default="float32", metavar="NAME", help="of the backends; default float32"
        )
        parser.add_argument(
            "--layers", action="store_true", help="where in the model backends part first"
        )
        parser.add_argument("--json", action="store_true", help="print one object")

    def run(self, args: argparse.Namespace) -> int:
        """Decode greedily everywhere, or go through the layers, and judge."""
        from lmkernel.comparison.verb import compare, compare_layers

        names = [name.strip() for name in args.backends.split(",") if name.strip()]
        if not names or args.max_new_tokens < 1:
            raise InputError("expected names in --backends and at least 1 in --max-new-tokens")
        asked = {"prompts": args.prompt, "dtype": args.dtype}
        found = (
            compare_layers(args.model, names, **asked)
            if args.layers
            else compare(args.model, names, max_new_tokens=args.max_new_tokens, **asked)
        )
        print(json.dumps(found.json()) if args.json else found.text(painter(sys.stdout)))
        return int(not found.passed)
