"""The tutorial's programs (sections 2.4 and 4.2), made to work.

The tutorial leaves some settings open. Here they are: Glorot-uniform weights and zero biases from
seed 42; float32; Adam with learning rate 0.001, β 0.9 and 0.999, and ε 1e-7; and a linear output of
width 3, since a softmax under MSE could not get below 0.0936 on that table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.config import EmbeddingConfig, FeedForwardConfig, ModelConfig
from lmkernel.interfaces import LossConfig
from lmkernel.training.config import OptimizerConfig, ScheduleConfig, TrainerConfig
from lmkernel.training.data import ArrayBatches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.training.data import Batches

__all__ = ["PROGRAMS", "SEED", "Program", "trainer_config"]

SEED = 42
TABLE = ((0.0, 0.0, 0.0), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), (0.7, 0.8, 0.9))
"""The vectors of ``<s>``, ``Hello``, ``world`` and ``!</s>`` (section 2.4, step 1)."""


@final
@dataclass(frozen=True, kw_only=True)
class Program:
    """One program, which trains, predicts and evaluates.

    Args:
        id: the name of the program.
        section: the section of the tutorial.
        printed: the result of running the program as the tutorial prints it.
        model: the configuration of the model.
        loss: the kind of the loss, ``"mse"`` or ``"cross_entropy"``.
        epochs: the number of passes over the data.
        data: the training data.
        table: whether the embedding starts as the tutorial's table.
        after: the program whose embedding and encoder this one starts from, or empty.
    """

    id: str
    section: str
    printed: str
    model: ModelConfig
    loss: str
    epochs: int
    data: Batches
    table: bool = False
    after: str = ""

    @property
    def steps(self) -> int:
        """The number of optimizer steps in all epochs."""
        return self.epochs * len(self.data)

    def start(self, initial: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
        """The first weights, on the host.

        Args:
            initial: the initial weights from our own generator, seed 42.
            before: the last weights of the program `after`, if there is one.
        """
        values = dict(initial)
        if self.table:
            values["embedding.tokens.weight"] = np.asarray(TABLE, np.float32)
        reused = {
            n: x for n, x in (before or {}).items() if n.startswith(("embedding.", "encoder."))
        }
        return {**values, **reused}


def trainer_config(program: Program, **changes: Any) -> TrainerConfig:
    """The trainer's configuration for a program."""
    return TrainerConfig(
        model=program.model,
        loss=LossConfig(kind=program.loss),
        optimizer=OptimizerConfig(kind="adam", eps=1e-7),
        schedule=ScheduleConfig(kind="constant", rate=0.001),
        steps=program.steps,
        seed=SEED,
        **changes,
    )


def _model(outputs: int, *, tokens: bool = False) -> ModelConfig:
    """3 → 128 → 64 → 32 → 16 → 32 → 64 → 128 → outputs, over tokens or their vectors."""
    embedding = (
        EmbeddingConfig(width=3, vocab=4) if tokens else EmbeddingConfig(kind="vectors", width=3)
    )
    widths = (16, 32, 64, 128, outputs)
    return ModelConfig(
        embedding=embedding,
        encoder=FeedForwardConfig(widths=(3, 128, 64, 32, 16)),
        decoder=FeedForwardConfig(widths=widths, final_activation="none"),
    )


def _vectors() -> Any:
    return np.asarray(TABLE, np.float32).reshape(4, 1, 3)


def _tokens() -> Any:
    return np.arange(4, dtype=np.int32).reshape(4, 1)


def _batches(batch: int, *, shuffle: bool = False, **arrays: Any) -> Batches:
    return ArrayBatches(arrays, batch=batch, seed=SEED, shuffle=shuffle)


PROGRAMS = (
    Program(
        id="reconstruction",
        section="2.4, steps 1-3",
        printed="fails: a list of lists is no tensor, and 16 outputs are compared with 3 targets",
        model=_model(3, tokens=True),
        loss="mse",
        epochs=10,
        data=_batches(4, inputs=_tokens(), targets=_vectors()),
        table=True,
    ),
    Program(
        id="distribution",
        section="2.4, step 3",
        printed="fails for the same reasons",
        model=_model(4),
        loss="cross_entropy",
        epochs=10,
        data=_batches(4, inputs=_vectors(), targets=_tokens()),
    ),
    Program(
        id="pre-training",
        section="2.4, step 4",
        printed="undefined loader, and fit gets no targets",
        model=_model(3, tokens=True),
        loss="mse",
        epochs=100,
        data=_batches(2, shuffle=True, inputs=_tokens(), targets=_vectors()),
        table=True,
    ),
    Program(
        id="fine-tuning",
        section="2.4, step 5",
        printed="undefined loader",
        model=_model(4, tokens=True),
        loss="cross_entropy",
        epochs=10,
        data=_batches(2, shuffle=True, inputs=_tokens(), targets=_tokens()),
        after="pre-training",
    ),
    Program(
        id="complete",
        section="4.2",
        printed="fails: output 16, target 3",
        model=_model(3),
        loss="mse",
        epochs=10,
        data=_batches(4, inputs=_vectors(), targets=_vectors()),
    ),
)
