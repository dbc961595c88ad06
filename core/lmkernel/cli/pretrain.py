"""``lmkernel pretrain``: train a new model, or go on pre-training one, on unlabelled text."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.runs import add_run_options, report_outcome, train
from lmkernel.plugins import FamilySpec

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from lmkernel.training.outcome import TrainingRun

__all__ = ["Pretrain"]

_SIZES: Mapping[str, str] = MappingProxyType(
    {
        "width": "hidden size",
        "layers": "number of layers",
        "heads": "number of attention heads",
        "context": "longest context, in tokens",
        "vocab": "size of the vocabulary to learn",
    }
)
_SAMPLE = 60


@final
class Pretrain(Command):
    """Without any argument: a small GPT on the texts of Python's own help, within two minutes."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The sizes of a new model, and all that a run takes."""
        from lmkernel.training.run.settings import ModelSettings, RunSettings

        model, usual = ModelSettings(), RunSettings()
        sizes = parser.add_argument_group("a new model")
        sizes.add_argument(
            "--family",
            metavar="NAME",
            help=f"{', '.join(self.registry.all(FamilySpec))}; default {model.family}",
        )
        for name, what in _SIZES.items():
            text = f"{what}; default {getattr(model, name)}"
            sizes.add_argument(f"--{name}", type=int, metavar="N", help=text)
        sizes.add_argument("--start", metavar="MODEL", help="go on from this one instead")
        numbers = {
            "steps": f"{usual.training.steps}",
            "batch": f"{usual.training.batch}",
            "learning_rate": f"{usual.schedule.rate}",
        }
        objectives = ("causal", "masked", "sequences", "denoising")
        add_run_options(parser, objectives=objectives, usual=numbers)

    def run(self, args: argparse.Namespace) -> int:
        """Train, then show what the model writes."""
        from lmkernel.training.verbs import pretrain

        run = train(args, pretrain, "family", *_SIZES, start=args.start)
        code = report_outcome(run, "pretrain")
        if run.rank == 0 and run.status != "interrupted" and run.settings.objective == "causal":
            self._show_sample(run)
        return code

    def _show_sample(self, run: TrainingRun) -> None:
        """A few lines that the model writes."""
        model = run.load(device=run.settings.device or None)
        seed = run.settings.training.seed
        print("sample: The", end="")
        for piece in model.generate(
            "The", max_new_tokens=_SAMPLE, temperature=0.8, top_p=0.95, seed=seed
        ):
            print(piece, end="", flush=True)
        print()
