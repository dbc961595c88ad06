"""``lmkernel evaluate``: loss, perplexity, bits per byte, accuracy and F1 of a model on data."""

from __future__ import annotations

import json
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import add_backend_options
from lmkernel.cli.runs import add_settings_options, settings_of
from lmkernel.cli.style import columns
from lmkernel.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

__all__ = ["Evaluate"]

_OBJECTIVES = ("causal", "instruction", "masked", "classification")
_DEFAULTS: Mapping[str, Any] = MappingProxyType({"objective": "causal", "training": {"batch": 8}})


@final
class Evaluate(Command):
    """A line for each metric, or one JSON object."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the data, and what is asked of it."""
        parser.add_argument(
            "model", nargs="?", metavar="MODEL", help="as for `lmkernel chat`, or that of a run"
        )
        parser.add_argument(
            "--data", metavar="PATH", help="text, JSONL, CSV, Parquet, or a folder; all of it"
        )
        parser.add_argument(
            "--objective",
            choices=_OBJECTIVES,
            metavar="NAME",
            help=f"{', '.join(_OBJECTIVES)}; default causal",
        )
        parser.add_argument("--batch", type=int, metavar="N", help="rows of a batch; default 8")
        parser.add_argument(
            "--context", type=int, metavar="N", help="most positions; default the model's, or 512"
        )
        parser.add_argument(
            "--truncate", action="store_true", default=None, help="cut longer examples there"
        )
        parser.add_argument("--json", action="store_true", help="print one object")
        add_backend_options(parser)
        add_settings_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Evaluate."""
        from lmkernel.sources.progress import Progress
        from lmkernel.training.run.evaluation import evaluate

        more = {
            "model.start": args.model,
            "data.context": args.context,
            "data.truncate": args.truncate,
        }
        settings = settings_of(args, _DEFAULTS, more)
        if not settings.model.start:
            raise InputError("expected a model to evaluate, as an argument or as model.start")
        if not (args.data or args.config):
            raise InputError("expected data to evaluate on, as --data or in a file of settings")
        values = evaluate(settings, self.registry, Progress(sys.stderr))
        if args.json:
            said = {"model": settings.model.start, "data": settings.data.train}
            print(json.dumps({**said, **values}))
        else:
            rows = [[name.replace("_", " "), f"{value:.6g}"] for name, value in values.items()]
            print(columns(rows))
        return 0
