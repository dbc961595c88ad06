"""``lmkernel tag``: the tagged spans of texts, under a model fine-tuned for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import add_loading_options, load
from lmkernel.cli.texts import add_text_arguments, print_lines, read_texts
from lmkernel.tasks import tag
from lmkernel.tasks.tagging import WORDS

if TYPE_CHECKING:
    import argparse

__all__ = ["Tag"]


@final
class Tag(Command):
    """A JSON object a text: the text, and its tags with label, text, place and score."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the texts, and how tokens become words."""
        parser.add_argument("model", metavar="MODEL", help="of a `finetune --objective tagging`")
        add_text_arguments(parser, cuts=False)
        parser.add_argument(
            "--words",
            choices=WORDS,
            default=WORDS[0],
            help="whose tag a word has, of its tokens; simple joins tokens, none does not; "
            f"default {WORDS[0]}",
        )
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Tag."""
        texts, model = read_texts(args), load(args)
        return print_lines(
            texts,
            args.batch,
            lambda some: tag(model, some, words=args.words, batch=args.batch),
            "text",
        )
