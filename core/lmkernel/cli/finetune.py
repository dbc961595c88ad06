"""``lmkernel finetune``: go on training a model on labelled data, whole or through adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.runs import add_run_options, report_outcome, train
from lmkernel.training.objectives import TURNS

if TYPE_CHECKING:
    import argparse

__all__ = ["Finetune"]


@final
class Finetune(Command):
    """Instructions by default: the loss is on the assistant's tokens alone."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, adapters, and all that a run takes."""
        parser.add_argument(
            "model",
            nargs="?",
            metavar="MODEL",
            help="to start from: a name, a folder or a GGUF file",
        )
        talk = parser.add_argument_group("conversations")
        talk.add_argument(
            "--chat-template",
            metavar="NAME|FILE",
            help="plain, chatml, or a file: what the model gets and keeps; default its own",
        )
        talk.add_argument("--turns", choices=TURNS, help="which answers it learns; default all")
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
        from lmkernel.training.usual import ADAPTER_RATE, FINETUNE

        training, rate = FINETUNE["training"], FINETUNE["schedule"]["rate"]
        add_run_options(
            parser,
            objectives=(
                "instruction",
                "classification",
                "tagging",
                "answers",
                "scores",
                "sequences",
                "transcripts",
                "causal",
                "masked",
                "denoising",
            ),
            usual={
                "steps": f"{training['steps']}",
                "batch": f"{training['batch']}",
                "learning_rate": f"{rate:g}, of adapters {ADAPTER_RATE:g}",
            },
        )

    def run(self, args: argparse.Namespace) -> int:
        """Train."""
        from lmkernel.training.verbs import finetune

        return report_outcome(train(args, finetune, "merge", model=args.model), "finetune")
