"""``lmkernel caption``: what is seen in pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import (
    add_generation_options,
    add_loading_options,
    generation_options,
    load,
    read_items,
)
from lmkernel.cli.texts import (
    Item,
    add_text_arguments,
    as_items,
    check_batch,
    print_lines,
    read_columns,
)
from lmkernel.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["Caption"]

_BATCH = 4
_COLUMNS = ("picture", "image", "file_name")


@final
class Caption(Command):
    """A line a picture, as they are answered."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the pictures, and what is asked."""
        parser.add_argument(
            "model", metavar="MODEL", help="one that is shown pictures, such as SmolVLM or LLaVA"
        )
        add_text_arguments(parser, columns=_COLUMNS[:1], name=None, batch=_BATCH, cuts=False)
        parser.add_argument(
            "files", nargs="*", metavar="FILE", help="default: standard input, a path a line"
        )
        parser.add_argument(
            "--question", metavar="TEXT", help="asked of each; default: Describe this picture."
        )
        parser.add_argument("--json", action="store_true", help="print a JSON object a line")
        add_generation_options(parser)
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Say what is seen."""
        from lmkernel.captions.verbs import QUESTION, captions_of

        check_batch(args)
        options, question = generation_options(args), args.question or QUESTION
        files, model = _files(args), load(args)

        def find(some: list[Any]) -> str:
            found = captions_of(model, some, question, {"options": options})
            return "\n".join(str(one) if args.json else " ".join(one.text.split()) for one in found)

        return print_lines(files, args.batch, find, "picture", as_json=args.json)


def _files(args: argparse.Namespace) -> Iterator[Item]:
    if args.files and args.data:
        raise InputError("expected pictures as arguments or --data, got both")
    if args.data:
        known = {"picture": _COLUMNS}
        return read_columns(args, known, lambda row, columns: row.text(columns["picture"]))
    lines = args.files or read_items("the path of a picture")
    return as_items(lines)
