"""``lmkernel quantize``: write a model with weights of few bits."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import painter

if TYPE_CHECKING:
    import argparse

__all__ = ["Quantize"]

_MOST = 10_000_000
"""Bytes of a text that are read; perplexity is measured on its first tokens."""


@final
class Quantize(Command):
    """Writes the folder, and prints its size and perplexity beside the model's."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the folder, how, and on which text perplexity is measured."""
        parser.add_argument("model", metavar="MODEL", help="a name, a folder or a GGUF file")
        parser.add_argument("out", metavar="OUT", help="the folder to make")
        parser.add_argument(
            "--weights",
            default="int4",
            metavar="KIND",
            help="int4 or int8, with ,group=64 or another; default int4, groups of 32",
        )
        parser.add_argument(
            "--text", metavar="FILE", help="measure perplexity on it, before and after"
        )
        parser.add_argument(
            "--tokens", type=int, default=4096, metavar="N", help="of the text; default 4096"
        )
        parser.add_argument(
            "--dtype", default="float32", metavar="NAME", help="of the rest; default float32"
        )
        parser.add_argument("--backend", metavar="NAME", help="where perplexity is measured")
        parser.add_argument(
            "--overwrite", action="store_true", help="replace a folder that is there"
        )
        parser.add_argument("--json", action="store_true", help="print one object")

    def run(self, args: argparse.Namespace) -> int:
        """Write it."""
        from lmkernel.quantization import quantize

        made = quantize(
            args.model,
            args.out,
            weights=args.weights,
            text=_text(args.text) if args.text else "",
            tokens=args.tokens,
            dtype=args.dtype,
            backend=args.backend,
            overwrite=args.overwrite,
        )
        print(json.dumps(made.json()) if args.json else made.text(painter(sys.stdout)))
        return 0


def _text(name: str) -> str:
    """The beginning of a text in UTF-8."""
    from lmkernel.errors import InputError
    from lmkernel.files import open_regular
    from lmkernel.paths import user_path

    with open_regular(user_path(name), InputError) as file:
        try:
            return file.read(_MOST).decode("utf-8", "strict" if file.read(1) == b"" else "ignore")
        except UnicodeDecodeError as error:
            raise InputError(f"{name}: expected a text in UTF-8: {error}") from error
