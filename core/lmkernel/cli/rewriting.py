"""What ``lmkernel translate`` and ``lmkernel summarize`` share: texts from texts."""

from __future__ import annotations

import argparse
import itertools
import json
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from lmkernel.arguments import require_count
from lmkernel.cli.command import Command
from lmkernel.cli.options import add_loading_options, load
from lmkernel.cli.runs import add_data_options
from lmkernel.cli.screen import escaped_json
from lmkernel.cli.texts import read_columns
from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel.language_model import LanguageModel
    from lmkernel.rewriting.outcome import Rewritings
    from lmkernel.training.data.rows import Row

    Pair = tuple[str, str | None]

__all__ = ["Rewrite"]

_OPTIONS = ("num_beams", "max_new_tokens", "length_penalty", "temperature", "seed")


class Rewrite(Command):
    """A line a text, or a JSON object; with ``--score``, the scores of all."""

    what: str
    batch: int
    metrics: str

    @abstractmethod
    def rewritten(self, model: LanguageModel, texts: list[str], args: argparse.Namespace) -> Any:
        """What the model writes of a batch."""

    @abstractmethod
    def read(self, args: argparse.Namespace) -> list[str]:
        """The texts of standard input."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the texts, and how they are written."""
        parser.add_argument("model", metavar="MODEL", help="an encoder-decoder: a name or a folder")
        parser.add_argument("texts", nargs="*", metavar="TEXT", help=self.what)
        add_data_options(
            parser, "JSON, JSONL, CSV, Parquet, or - for JSON lines: the column source"
        )
        parser.add_argument("--prefix", metavar="TEXT", help="written before each text")
        parser.add_argument("--json", action="store_true", help="print a JSON object a line")
        parser.add_argument(
            "--score",
            action="append",
            metavar="METRIC",
            nargs="?",
            const="",
            help=f"print scores against the column target, no texts; default {self.metrics}",
        )
        parser.add_argument(
            "--batch", type=int, default=self.batch, metavar="N", help=f"default {self.batch}"
        )
        group = parser.add_argument_group("how it writes; the defaults are the model's own")
        kinds: tuple[tuple[str, type, str], ...] = (
            ("--num-beams", int, "beginnings that are gone on with side by side"),
            ("--max-new-tokens", int, "the most tokens"),
            ("--length-penalty", float, "of beams: above 0 longer texts are preferred"),
            ("--temperature", float, "draw with this temperature, without beams"),
            ("--seed", int, "of the draws"),
        )
        for name, kind, text in kinds:
            group.add_argument(name, type=kind, default=argparse.SUPPRESS, metavar="N", help=text)
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Write."""
        require_count("--batch", args.batch)
        pairs, model = self._pairs(args), load(args)
        written: list[str] = []
        references: list[str] = []
        while several := list(itertools.islice(pairs, args.batch)):
            found: Rewritings = self.rewritten(model, [text for text, _ in several], args)
            if args.score is None:
                plain = "\n".join(_one_line(one.text) for one in found)
                shown = escaped_json(found.lines()) if args.json else plain
                print(shown, flush=True)
            written += [one.text for one in found]
            references += [right for _, right in several if right is not None]
        if args.score is not None:
            from lmkernel.rewriting.scores import score_texts

            named = [name for name in args.score if name] or self.metrics.split()
            print(json.dumps(score_texts(written, references, named).json()))
        return 0

    def _pairs(self, args: argparse.Namespace) -> Iterator[Pair]:
        """The texts, each with what is right where scores are shared_keywords for."""
        if args.texts and args.data:
            raise InputError("expected texts as arguments or --data, got both")
        if args.data:
            known = {"source": ("source",), "target": ("target",) * (args.score is not None)}
            return (item.value for item in read_columns(args, known, _pair))
        if args.score is not None:
            raise InputError("--score: expected --data, with a column target, beside it")
        return iter([(text, None) for text in args.texts or self.read(args)])

    def shared_keywords(self, args: argparse.Namespace) -> dict[str, Any]:
        """What both verbs are shared_keywords for."""
        options = {name: value for name, value in vars(args).items() if name in _OPTIONS}
        return {
            **options,
            "prefix": args.prefix,
            "batch": args.batch,
            "truncate": bool(args.truncate),
            "progress": False,
        }


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _pair(row: Row, columns: Mapping[str, str]) -> Pair:
    right = row.text(columns["target"]) if "target" in columns else None
    return row.text(columns["source"]), right
