"""``lmkernel finetune``: go on training a model on labelled data, whole or through adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.runs import add_run_options, report, settings_of, train
from lmkernel.errors import InputError

if TYPE_CHECKING:
    import argparse

__all__ = ["Finetune"]

_WHOLE, _ADAPTERS = 2e-5, 2e-4
"""Usual learning rates of a whole model and of adapters (arXiv:2106.09685, appendix D)."""
_STEPS, _BATCH = 200, 8


@final
class Finetune(Command):
    """Instructions by default: the loss is on the assistant's tokens alone."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, adapters, and all that a run takes."""
        parser.add_argument(
            "model", nargs="?", metavar="MODEL", help="what to start from: as for `lmkernel chat`"
        )
        adapters = parser.add_argument_group("adapters")
        adapters.add_argument(
            "--lora", type=int, metavar="RANK", help="train low-rank adapters, not the model itself"
        )
        adapters.add_argument(
            "--merge",
            action="store_true",
            default=None,
            help="write the model with the adapters merged into it",
        )
        add_run_options(
            parser,
            objectives=("instruction", "classification", "causal", "masked"),
            usual={
                "steps": f"{_STEPS}",
                "batch": f"{_BATCH}",
                "rate": f"{_WHOLE:g}, of adapters {_ADAPTERS:g}",
            },
        )

    def run(self, args: argparse.Namespace) -> int:
        """Train."""
        if args.resume and args.model:
            raise InputError("--resume: the folder says which model; leave out MODEL")
        more = {"model.start": args.model, "merge": args.merge}
        settings = settings_of(args, _defaults(_WHOLE), more)
        if settings.lora is not None:
            settings = settings_of(args, _defaults(_ADAPTERS), more)
        if not settings.model.start:
            raise InputError("expected a model to start from, as an argument or as model.start")
        outcome, folder = train(args, settings, self.registry, "finetune")
        return report(outcome, folder, "finetune")


def _defaults(rate: float) -> dict[str, Any]:
    steps = {"steps": _STEPS, "batch": _BATCH, "evaluate_every": 25, "checkpoint_every": 50}
    return {
        "objective": "instruction",
        "training": steps,
        "schedule": {"kind": "cosine", "rate": rate, "warmup": 10, "floor": 0.1},
        "optimizer": {"kind": "adamw", "weight_decay": 0.01},
    }
