"""``lmkernel classify``: the classes of texts, under a model fine-tuned to tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import add_loading_options, load
from lmkernel.cli.texts import add_text_arguments, print_lines, read_texts

if TYPE_CHECKING:
    import argparse

__all__ = ["Classify"]


@final
class Classify(Command):
    """A JSON object a text, as they are computed: the label, its score, and those of all labels."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model and the texts."""
        parser.add_argument(
            "model", metavar="MODEL", help="of a `finetune --objective classification`"
        )
        add_text_arguments(parser, columns=("text", "second"))
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Classify."""
        texts, model, cut = read_texts(args), load(args), bool(args.truncate)
        return print_lines(
            texts,
            args.batch,
            lambda some: model.classify(some, batch=args.batch, truncate=cut),
            "text",
        )
