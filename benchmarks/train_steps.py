"""The benchmark of training: the first step, the steps that follow, peak memory."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from subject import BACKENDS, OURS, Metric, Subject
from summary import losses

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from contestants import Contestant
    from subject import Run

__all__ = ["Training"]

MODEL = MappingProxyType(
    {
        "layers": 6,
        "hidden_size": 384,
        "heads": 6,
        "mlp_size": 1536,
        "vocab": 8192,
        "batch": 8,
        "time": 256,
    }
)
OPTIMIZER = MappingProxyType(
    {"learning_rate": 3e-4, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.01, "clip": 1.0}
)
SAME = 0.02
"""Contestants that learn the same thing end within this share of the median loss."""


@final
class Training(Subject):
    """A model of GPT-2's shape, AdamW, clipping by the global norm."""

    title = "Training benchmark"
    command = "benchmarks/run.py train"
    scripts = MappingProxyType(
        {OURS: "lmk_train.py", "transformers": "hf_train.py", "kerashub": "kerashub_train.py"}
    )
    variants = MappingProxyType(
        {
            OURS: ("numpy", "torch", "torch-bfloat16", "tensorflow", "jax"),
            "transformers": ("float32",),
            "transformers-bfloat16": ("autocast",),
            "kerashub-tensorflow": ("fit", "batch"),
            "kerashub-jax": ("fit", "batch"),
        }
    )
    rivals = MappingProxyType(
        {
            "numpy": "transformers",
            "torch": "transformers",
            "torch-bfloat16": "transformers",
            "tensorflow": "kerashub-tensorflow",
            "jax": "kerashub-jax",
        }
    )
    metrics = MappingProxyType(
        {
            "step": Metric("a step", "s", is_speed=False, digits=3),
            "first": Metric("the first step", "s", is_speed=False, digits=2),
            "peak": Metric("peak memory", "MiB", is_speed=False, digits=0),
        }
    )
    bars = MappingProxyType(
        {
            ("step", "numpy"): 1.8,
            ("step", "torch"): 0.75,
            ("step", "torch-bfloat16"): 0.45,
            ("step", "tensorflow"): 0.75,
            ("step", "jax"): 0.85,
            ("first", "tensorflow"): 0.7,
            ("first", "jax"): 0.7,
            **{("peak", one): 1.0 for one in ("torch", "torch-bfloat16", *BACKENDS[2:])},
        }
    )
    proof = ("loss", "“Loss” is that of the first step and of the last")
    repeats = 8

    def rival(self, metric: str, variant: str) -> str:
        """Mixed precision is compared with float32's time, but with mixed precision's memory."""
        if metric == "peak" and variant == "torch-bfloat16":
            return "transformers-bfloat16"
        return self.rivals[variant]

    def prepare(self, args: argparse.Namespace) -> None:
        """Nothing to find: the model is new and the data are made up."""

    def task(self, one: Contestant, args: argparse.Namespace) -> dict[str, Any] | None:
        """The task that `workers/steps.py` reads."""
        return {"variant": one.variant, "steps": args.repeats, **MODEL, **OPTIMIZER}

    def cold_command(self, one: Contestant, args: argparse.Namespace) -> list[str] | None:
        """Not measured."""
        del one, args
        return None

    def settings(self, args: argparse.Namespace) -> dict[str, Any]:
        """The model's shape and the optimizer."""
        del args
        return {
            "model": "{layers} layers × {hidden_size}, {heads} heads, MLP {mlp_size}".format(
                **MODEL
            ),
            "vocabulary": MODEL["vocab"],
            "batch": "{batch} × {time} tokens".format(**MODEL),
            "optimizer": "AdamW, β {beta1:g} and {beta2:g}, ε {eps:g}".format(**OPTIMIZER),
            "learning_rate": f"{OPTIMIZER['learning_rate']:g}",
            "weight_decay": OPTIMIZER["decay"],
            "clipping": f"global norm {OPTIMIZER['clip']:g}",
            "dropout": "none",
        }

    def proof_cells(self, runs: Sequence[Run]) -> dict[str, str]:
        """The losses of the first and the last step."""
        return {name: f"{own[0]:.2f} → {own[-1]:.2f}" for name, own in losses(runs).items()}

    def warnings(self, runs: Sequence[Run]) -> list[str]:
        """A warning where a loss ends apart; only roughly, since initial weights differ."""
        last = {name: own[-1] for name, own in losses(runs).items()}
        middle = sorted(last.values())[len(last) // 2] if last else math.nan
        odd = [name for name, loss in last.items() if not abs(loss / middle - 1) < SAME]
        return [f"**Not the same was learned**: {', '.join(odd)}."] if odd else []
