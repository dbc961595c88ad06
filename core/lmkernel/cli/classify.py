"""``lmkernel classify``: the classes of texts, under a model fine-tuned to tell them apart."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import add_backend_options, add_weights_option, load
from lmkernel.cli.texts import add_text_arguments, read_texts

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
        add_text_arguments(parser)
        add_backend_options(parser)
        add_weights_option(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Classify."""
        texts, model = read_texts(args), load(args)
        while several := list(itertools.islice(texts, args.batch)):
            print(model.classify(several, batch=args.batch, truncate=bool(args.truncate)))
        return 0
