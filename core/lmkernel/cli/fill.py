"""``lmkernel fill``: the likeliest tokens at the masks of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import add_loading_options, load
from lmkernel.cli.texts import add_text_arguments, print_lines, read_texts
from lmkernel.tasks import fill
from lmkernel.tasks.filling import TOP

if TYPE_CHECKING:
    import argparse

__all__ = ["Fill"]


@final
class Fill(Command):
    """A JSON object a text: the text filled, and for each mask the likeliest tokens."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model and the texts."""
        parser.add_argument(
            "model",
            metavar="MODEL",
            help="a masked language model, such as a BERT; texts have its mask, such as [MASK]",
        )
        add_text_arguments(parser)
        parser.add_argument(
            "--top", type=int, default=TOP, metavar="N", help=f"tokens for each mask; default {TOP}"
        )
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Fill."""
        texts, model = read_texts(args), load(args)
        how: dict[str, Any] = {
            "top": args.top,
            "batch": args.batch,
            "truncate": bool(args.truncate),
        }
        return print_lines(texts, args.batch, lambda some: fill(model, some, **how), "text")
