"""lmkernel's trainer on one backend; ``-bfloat16`` after its name means mixed precision."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from common import available_processors
from steps import read_task, report, time_steps

from lmkernel.backend import load_backend
from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    PrecisionPolicy,
    TransformerConfig,
)
from lmkernel.factory import ComponentFactory
from lmkernel.parameters import initial_values
from lmkernel.training.config import OptimizerConfig, ScheduleConfig, TrainerConfig

if TYPE_CHECKING:
    from steps import Task, Tokens

    from lmkernel.interfaces import Trainer

PACKAGES = {"tensorflow": "tensorflow-cpu" if sys.platform == "linux" else "tensorflow"}
"""Distributions that are not called like the backend."""


def _model(task: Task) -> ModelConfig:
    attention = AttentionConfig(width=task.hidden_size, heads=task.heads, bias=True, out_bias=True)
    mlp = MlpConfig(hidden=task.mlp_size, activation="gelu_tanh", gated=False, bias=True)
    return ModelConfig(
        embedding=EmbeddingConfig(
            width=task.hidden_size, vocab=task.vocab, positions="learned", context=task.time
        ),
        decoder=TransformerConfig(
            width=task.hidden_size,
            layers=task.layers,
            attention=attention,
            mlp=mlp,
            norm=NormConfig(kind="layer"),
            causal=True,
        ),
        head=HeadConfig(width=task.hidden_size, size=task.vocab, tied=True),
        context=task.time,
    )


class _Training:
    """A trainer and its state."""

    def __init__(self, task: Task, backend: str, *, narrow: bool) -> None:
        config = TrainerConfig(
            model=_model(task),
            optimizer=OptimizerConfig(
                beta1=task.beta1, beta2=task.beta2, eps=task.eps, weight_decay=task.decay
            ),
            schedule=ScheduleConfig(rate=task.learning_rate),
            steps=1000,
            policy=PrecisionPolicy(compute="bfloat16" if narrow else "float32"),
            clip=task.clip,
        )
        factory = ComponentFactory(load_backend(backend))
        self.trainer: Trainer = factory.create("trainer", config)
        values = initial_values(self.trainer.declare(), seed=0)
        self.state = self.trainer.start(values)

    def step(self, inputs: Tokens, targets: Tokens) -> float:
        """The loss of one step."""
        batch = {"inputs": inputs, "targets": targets}
        self.state, metrics = self.trainer.step(self.state, [batch])
        return metrics.loss


def main() -> None:
    """Train, print."""
    task = read_task()
    backend, _, precision = task.variant.partition("-")
    curve = time_steps(task, _Training(task, backend, narrow=precision == "bfloat16").step)
    report(curve, ["lmkernel", PACKAGES.get(backend, backend)], available_processors())


if __name__ == "__main__":
    main()
