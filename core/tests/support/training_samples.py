"""A small GPT-2 with a trainer on the default backend, and batches of letters for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.config import PrecisionPolicy
from lmkernel.factory import ComponentFactory
from lmkernel.families.family import HfConfig
from lmkernel.families.gpt2 import Gpt2
from lmkernel.training.config import OptimizerConfig, ScheduleConfig, TrainerConfig
from lmkernel.training.data import ArrayBatches

if TYPE_CHECKING:
    from lmkernel.backend import Backend
    from lmkernel.config import ModelConfig
    from lmkernel.training.data import Batch
    from lmkernel.training.step.trainer import ComposedTrainer

GPT2: dict[str, Any] = {
    "model_type": "gpt2",
    "vocab_size": 61,
    "n_embd": 24,
    "n_layer": 2,
    "n_head": 3,
    "n_positions": 8,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
}
DROPPING = {"resid_pdrop": 0.3, "embd_pdrop": 0.3}
DOUBLE = PrecisionPolicy(params="float64", compute="float64", output="float64")
SGD = OptimizerConfig(kind="sgd")


def small_gpt2(**changes: Any) -> ModelConfig:
    """The configuration, read from its Hugging Face form."""
    return Gpt2().read(HfConfig({**GPT2, **changes}))


def constant(rate: float) -> ScheduleConfig:
    """The same rate at each step."""
    return ScheduleConfig(kind="constant", rate=rate)


def made_trainer(
    model: ModelConfig | None = None, *, backend: Backend | None = None, **changes: Any
) -> ComposedTrainer:
    """A trainer of the small GPT-2 by plain SGD on NumPy, unless told otherwise."""
    settings: dict[str, Any] = {
        "model": model or small_gpt2(),
        "optimizer": SGD,
        "schedule": constant(0.1),
        "steps": 8,
        "seed": 3,
        **changes,
    }
    factory = ComponentFactory(backend or load_backend("numpy"))
    made: ComposedTrainer = factory.create("trainer", TrainerConfig(**settings))
    return made


def letters_batch(rows: int, time: int = 6, *, seed: int = 1, learned: int = 6) -> Batch:
    """Random tokens; targets after the first ``learned`` ones are ignored."""
    tokens = np.random.default_rng(seed).integers(3, 61, (rows, time + 1)).astype(np.int32)
    targets = tokens[:, 1:].copy()
    targets[:, learned:] = -1
    return {"inputs": tokens[:, :-1], "targets": targets}


def letters_batches(rows: int = 10, batch: int = 4) -> ArrayBatches:
    """Shuffled; three batches an epoch, of which the last is smaller."""
    return ArrayBatches(letters_batch(rows), batch=batch, seed=5, shuffle=True)
