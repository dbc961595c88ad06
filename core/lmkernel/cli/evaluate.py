"""``lmkernel evaluate``: loss, perplexity, bits per byte, accuracy and F1 of a model on data."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import add_backend_options
from lmkernel.cli.style import columns

if TYPE_CHECKING:
    import argparse

__all__ = ["Evaluate"]


@final
class Evaluate(Command):
    """A line for each metric, or one JSON object."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the data, and what is asked of it."""
        parser.add_argument("model", metavar="MODEL", help="a name, a folder or a GGUF file")
        parser.add_argument("--data", required=True, metavar="PATH", help="as for `finetune`")
        parser.add_argument(
            "--objective",
            choices=("causal", "instruction", "masked", "classification"),
            default="causal",
            help="default causal",
        )
        parser.add_argument("--batch", type=int, default=8, metavar="N", help="default 8")
        parser.add_argument("--context", type=int, default=0, metavar="N", help="most positions")
        parser.add_argument("--truncate", action="store_true", help="cut longer examples")
        parser.add_argument("--json", action="store_true", help="print one object")
        add_backend_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Evaluate."""
        from lmkernel.sources.progress import Progress
        from lmkernel.training.evaluation import evaluate
        from lmkernel.training.settings import (
            DataSettings,
            ModelSettings,
            RunSettings,
            StepSettings,
        )

        settings = RunSettings(
            objective=args.objective,
            backend=args.backend or "",
            device=args.device or "",
            model=ModelSettings(start=args.model),
            data=DataSettings(train=args.data, context=args.context, truncate=args.truncate),
            training=StepSettings(batch=args.batch, precision=args.dtype or "float32"),
        )
        values = evaluate(settings, self.registry, Progress(sys.stderr))
        if args.json:
            print(json.dumps({"model": args.model, "data": args.data, **values}))
        else:
            print(columns([[name, f"{value:.6g}"] for name, value in values.items()]))
        return 0
