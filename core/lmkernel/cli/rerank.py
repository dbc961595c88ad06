"""``lmkernel rerank``: documents in the order of how well they fit a query."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import add_loading_options, load, read_items
from lmkernel.cli.texts import (
    Item,
    add_text_arguments,
    as_items,
    check_batch,
    print_lines,
    read_columns,
)
from lmkernel.errors import InputError
from lmkernel.tasks import rerank

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from lmkernel.training.data.rows import Row

__all__ = ["Rerank"]


_COLUMNS = MappingProxyType(
    {
        "query": ("query", "question"),
        "documents": ("documents", "passages", "docs", "texts", "candidates"),
    }
)


@final
class Rerank(Command):
    """A JSON object a query: its documents with their numbers and scores, the best first."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the query and its documents."""
        parser.add_argument(
            "model", metavar="MODEL", help="a cross-encoder, or one that makes vectors"
        )
        parser.add_argument("query", nargs="?", metavar="QUERY", help="or --data")
        parser.add_argument(
            "documents", nargs="*", metavar="DOCUMENT", help="default: standard input, one a line"
        )
        add_text_arguments(parser, name=None, columns=("query", "documents"))
        parser.add_argument("--top", type=int, metavar="N", help="only the N best")
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Rank."""
        check_batch(args)
        queries, model = _queries(args), load(args)
        how: dict[str, Any] = {
            "top": args.top,
            "batch": args.batch,
            "truncate": bool(args.truncate),
        }
        return print_lines(queries, 1, lambda some: rerank(model, some, **how), "query")


def _queries(args: argparse.Namespace) -> Iterator[Item]:
    if args.data and args.query:
        raise InputError("expected a query as an argument or --data, got both")
    if args.data:
        return read_columns(args, _COLUMNS, _with_documents)
    if not args.query:
        raise InputError("expected a query and its documents, or --data")
    lines = args.documents or read_items("a document")
    return as_items([(args.query, lines)])


def _with_documents(row: Row, columns: Mapping[str, str]) -> tuple[str, list[str]]:
    from lmkernel.training.data.rows import parsed_value

    documents = parsed_value(row.column(columns["documents"]))
    listed = isinstance(documents, list) and documents
    if not listed or not all(isinstance(text, str) for text in documents):
        raise InputError(
            f"{row.where}: expected a list of texts in the column {columns['documents']!r}, "
            f"got {documents!r:.60}"
        )
    return row.text(columns["query"]), documents
