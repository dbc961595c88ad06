"""``lmkernel answer``: answers to questions, from documents."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import add_loading_options, load, read_prompt
from lmkernel.cli.texts import (
    Item,
    add_text_arguments,
    as_items,
    check_batch,
    print_lines,
    read_columns,
)
from lmkernel.errors import InputError
from lmkernel.tasks import answer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from lmkernel.training.data.rows import Row

__all__ = ["Answer"]


_BATCH, _LONGEST = 8, 30


@final
class Answer(Command):
    """A JSON object a question: the answer, its score, and where it stands in the document."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the questions, and whether there may be no answer."""
        parser.add_argument(
            "model",
            metavar="MODEL",
            help="of a `finetune --objective answers`, or a decoder, which writes",
        )
        parser.add_argument("question", nargs="?", metavar="QUESTION", help="or --data")
        parser.add_argument(
            "document", nargs="?", metavar="DOCUMENT", help="its text; default: standard input"
        )
        add_text_arguments(
            parser, name=None, columns=("question", "context"), batch=_BATCH, cuts=False
        )
        parser.add_argument(
            "--always", action="store_true", help="answer even where no answer is likelier"
        )
        parser.add_argument(
            "--longest",
            type=int,
            default=_LONGEST,
            metavar="N",
            help=f"most tokens of an answer; default {_LONGEST}",
        )
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Answer."""
        check_batch(args)
        questions, model = _questions(args), load(args)
        how: dict[str, Any] = {
            "no_answer": not args.always,
            "longest": args.longest,
            "batch": args.batch,
        }
        return print_lines(
            questions, args.batch, lambda some: answer(model, some, **how), "question"
        )


def _questions(args: argparse.Namespace) -> Iterator[Item]:
    if args.data and args.question:
        raise InputError("expected a question as an argument or --data, got both")
    if args.data:
        return read_columns(args, _COLUMNS, _pair)
    if not args.question:
        raise InputError("expected a question and its document, or --data")
    return as_items([(args.question, read_prompt(args.document, "a document"))])


_COLUMNS = MappingProxyType(
    {"question": ("question", "query"), "context": ("context", "document", "passage", "text")}
)


def _pair(row: Row, columns: Mapping[str, str]) -> tuple[str, str]:
    return row.text(columns["question"]), row.text(columns["context"])
