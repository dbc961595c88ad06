"""``lmkernel pretrain``: train a new model, or go on pre-training one, on unlabelled text."""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.runs import add_run_options, report, settings_of, train

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path

    from lmkernel.training.run.settings import RunSettings

__all__ = ["Pretrain"]

_DEFAULTS: Mapping[str, Any] = MappingProxyType({"objective": "causal"})
_SIZES: Mapping[str, str] = MappingProxyType(
    {
        "width": "numbers of a vector",
        "layers": "layers of its stack",
        "heads": "heads of attention",
        "context": "positions at most",
        "vocab": "tokens of the vocabulary that is learnt",
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
            help="gpt2, llama, mistral, qwen2, qwen3, bert; default gpt2",
        )
        for name, what in _SIZES.items():
            text = f"{what}; default {getattr(model, name)}"
            sizes.add_argument(f"--{name}", type=int, metavar="N", help=text)
        sizes.add_argument("--start", metavar="MODEL", help="go on from this one instead")
        numbers = {
            "steps": f"{usual.training.steps}",
            "batch": f"{usual.training.batch}",
            "rate": f"{usual.schedule.rate}",
        }
        add_run_options(parser, objectives=("causal", "masked"), usual=numbers)

    def run(self, args: argparse.Namespace) -> int:
        """Train, then show what the model writes."""
        names = ("family", *_SIZES, "start")
        model = {f"model.{name}": getattr(args, name) for name in names}
        settings = settings_of(args, _DEFAULTS, model)
        outcome, folder = train(args, settings, self.registry, "pretrain")
        code = report(outcome, folder, "pretrain")
        if outcome.model is not None and settings.objective == "causal":
            self._sample(outcome.model, settings)
        return code

    def _sample(self, model: Path, settings: RunSettings) -> None:
        """A few lines of the model's own."""
        from lmkernel.generation import GenerationOptions
        from lmkernel.loading import load_model

        options = GenerationOptions(
            max_new_tokens=_SAMPLE, temperature=0.8, top_p=0.95, seed=settings.training.seed
        )
        loaded = load_model(
            model,
            backend=settings.backend or None,
            device=settings.device or None,
            registry=self.registry,
        )
        print("sample:", end=" ")
        print("The", end="")
        for piece in loaded.generate("The", options):
            sys.stdout.write(piece)
            sys.stdout.flush()
        print()
