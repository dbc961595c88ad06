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


@final
class Finetune(Command):
    """Instructions by default: the loss is on the assistant's tokens alone."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, adapters, and all that a run takes."""
        parser.add_argument("model", nargs="?", metavar="MODEL", help="a name, a folder or a GGUF")
        adapters = parser.add_argument_group("adapters")
        adapters.add_argument("--lora", type=int, metavar="RANK", help="train adapters instead")
        adapters.add_argument(
            "--merge", action="store_true", help="write the model with the adapters merged"
        )
        add_run_options(parser, objectives=("instruction", "classification", "causal", "masked"))

    def run(self, args: argparse.Namespace) -> int:
        """Train."""
        if args.model:
            args.set.append(f"model.start={args.model!r}")
        if args.merge:
            args.set.append("merge=true")
        settings = settings_of(args, self._defaults(args))
        if not settings.model.start:
            raise InputError("expected a model to start from, as an argument or as model.start")
        outcome, folder = train(args, settings, self.registry, "finetune")
        return report(outcome, folder, "finetune")

    def _defaults(self, args: argparse.Namespace) -> dict[str, Any]:
        rate = _ADAPTERS if args.lora else _WHOLE
        return {
            "objective": "instruction",
            "training": {"steps": 200, "batch": 8, "evaluate_every": 25, "checkpoint_every": 50},
            "schedule": {"kind": "cosine", "rate": rate, "warmup": 10, "floor": 0.1},
            "optimizer": {"kind": "adamw", "weight_decay": 0.01},
        }
