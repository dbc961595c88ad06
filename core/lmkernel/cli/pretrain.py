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

    from lmkernel.training.settings import RunSettings

__all__ = ["Pretrain"]

_DEFAULTS: Mapping[str, Any] = MappingProxyType({"objective": "causal"})
_SAMPLE = 60


@final
class Pretrain(Command):
    """Without any argument: a small GPT on the texts of Python's own help, within two minutes."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The sizes of a new model, and all that a run takes."""
        sizes = parser.add_argument_group("a new model")
        sizes.add_argument("--family", metavar="NAME", help="gpt2 (default), llama, bert, …")
        for name, what in (
            ("width", "of its vectors"),
            ("layers", "how many"),
            ("heads", "of attention"),
            ("context", "positions at most"),
            ("vocab", "tokens of the tokenizer that is learnt"),
        ):
            sizes.add_argument(f"--{name}", type=int, metavar="N", help=what)
        sizes.add_argument("--start", metavar="MODEL", help="go on from this model instead")
        add_run_options(parser, objectives=("causal", "masked"))

    def run(self, args: argparse.Namespace) -> int:
        """Train, then show what the model writes."""
        sizes = ("family", "width", "layers", "heads", "context", "vocab", "start")
        args.set += [
            f"model.{name}={value!r}"
            for name in sizes
            if (value := getattr(args, name)) is not None
        ]
        settings = settings_of(args, _DEFAULTS)
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
