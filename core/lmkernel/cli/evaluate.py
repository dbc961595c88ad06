"""``lmkernel evaluate``: loss, perplexity, bits per byte, accuracy and F1 of a model on data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import add_backend_options
from lmkernel.cli.runs import add_data_options, add_settings_options, short_settings
from lmkernel.training.objectives import OBJECTIVES

if TYPE_CHECKING:
    import argparse

__all__ = ["Evaluate"]


@final
class Evaluate(Command):
    """A line for each metric, or one JSON object."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the data, and what is asked of it."""
        parser.add_argument(
            "model",
            nargs="?",
            metavar="MODEL",
            help="a name, a folder, also that of a run, or a GGUF file",
        )
        add_data_options(parser, "text, JSON, JSONL, CSV, Parquet, or a folder; all of it")
        parser.add_argument(
            "--objective",
            choices=tuple(OBJECTIVES),
            metavar="NAME",
            help=f"{', '.join(OBJECTIVES)}; default causal",
        )
        parser.add_argument("--batch", type=int, metavar="N", help="rows of a batch; default 8")
        parser.add_argument(
            "--context", type=int, metavar="N", help="most positions; default the model's, or 512"
        )
        parser.add_argument("--json", action="store_true", help="print one object")
        add_backend_options(parser)
        add_settings_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Evaluate."""
        from lmkernel.training.verbs import evaluate

        asked = short_settings(args, "context")
        found = evaluate(args.model, config=args.config, settings=args.set, **asked)
        print(json.dumps(found.json()) if args.json else found)
        return 0
