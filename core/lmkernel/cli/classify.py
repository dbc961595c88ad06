"""``lmkernel classify``: the classes of texts or of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import add_loading_options, load
from lmkernel.cli.texts import add_text_arguments, print_lines, read_texts
from lmkernel.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from lmkernel.cli.texts import Item
    from lmkernel.language_model import LanguageModel

__all__ = ["Classify"]


@final
class Classify(Command):
    """A JSON object a text, as they are computed: the label, its score, and those of all labels."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the texts or pictures, and labels."""
        parser.add_argument(
            "model",
            metavar="MODEL",
            help="of a `finetune --objective classification`, or one that reads pictures",
        )
        add_text_arguments(parser, columns=("text", "second"))
        parser.add_argument(
            "--labels",
            metavar="A,B,…",
            help="what a model of texts and pictures (CLIP, SigLIP) tells apart in pictures",
        )
        parser.add_argument(
            "--template",
            metavar="TEXT",
            help="what stands around a label, at {}; default: This is a photo of {}.",
        )
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Classify."""
        from lmkernel.inspection.pictures import reads_pictures

        texts, model, cut = read_texts(args), load(args), bool(args.truncate)
        if reads_pictures(model):
            return _run_pictures(args, texts, model)
        if args.labels is not None or args.template is not None:
            raise InputError("--labels, --template: expected a model of texts and pictures")
        return print_lines(
            texts,
            args.batch,
            lambda some: model.classify(some, batch=args.batch, truncate=cut),
            "text",
        )


def _run_pictures(args: argparse.Namespace, files: Iterator[Item], model: LanguageModel) -> int:
    from lmkernel.inspection.picture_classes import TEMPLATE

    if args.truncate:
        raise InputError("--truncate: expected texts, got pictures")
    labels = [label.strip() for label in args.labels.split(",")] if args.labels else []
    template = TEMPLATE if args.template is None else args.template
    return print_lines(
        files,
        args.batch,
        lambda some: model.classify_pictures(some, labels, template=template, batch=args.batch),
        "picture",
    )
