"""``lmkernel perplexity``: how well a model predicts each text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import add_loading_options, load
from lmkernel.cli.texts import add_text_arguments, print_lines, read_texts
from lmkernel.tasks import perplexity

if TYPE_CHECKING:
    import argparse

__all__ = ["Perplexity"]


_BATCH = 8


@final
class Perplexity(Command):
    """A JSON object a text: its perplexity, log-probability, tokens and bits per byte."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model and the texts."""
        parser.add_argument(
            "model", metavar="MODEL", help="a decoder: a name, a folder or a GGUF file"
        )
        add_text_arguments(parser, batch=_BATCH, cuts=False)
        parser.add_argument(
            "--stride",
            type=int,
            default=0,
            metavar="N",
            help="read longer texts than the context in windows that begin N tokens apart",
        )
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Measure."""
        texts, model = read_texts(args), load(args)
        how: dict[str, Any] = {"batch": args.batch, "stride": args.stride}
        return print_lines(texts, args.batch, lambda some: perplexity(model, some, **how), "text")
