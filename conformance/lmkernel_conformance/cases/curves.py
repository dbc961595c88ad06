"""Fifty training steps of each kind of model: the loss of every step, within its budget.

Constraints: initial weights and batches are the same on every backend, and dropout is off. Adam
turns a gradient of mere rounding noise into a whole step, which would make curves diverge. The
models avoid it: table rows that are not looked up have a gradient of exactly zero, and the biases
of keys, whose gradient is zero but for rounding, do not affect the loss.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import PrecisionPolicy
from lmkernel.interfaces import LossConfig
from lmkernel.training.config import OptimizerConfig, ScheduleConfig, TrainerConfig
from lmkernel.training.data import ArrayBatches
from lmkernel_conformance.cases.case import Case, case
from lmkernel_conformance.cases.models import batch
from lmkernel_conformance.cases.zoo import ZOO, values
from lmkernel_conformance.inputs import normal, tokens
from lmkernel_conformance.oracle import training as oracle
from lmkernel_conformance.tutorial.programs import PROGRAMS
from lmkernel_conformance.tutorial.training_runs import (
    Losses,
    expected_curves,
    first_weights,
    run_programs,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.interfaces import Trainer
    from lmkernel.training.data import Batches
    from lmkernel_conformance.subject import Subject

Host = Any

STEPS, ROUNDS, RATE = 50, 3, 0.003
_KINDS = ("llama", "gpt2", "gemma", "bert_masked", "bert_classes", "t5", "gru", "lstm", "document")


def data(name: str, *, shuffle: bool = True) -> Batches:
    """Three batches for a model of the zoo, padded, with some targets ignored."""
    fed = batch(name)
    rows = len(fed.inputs)
    arrays: dict[str, Host] = {n: np.tile(x, (ROUNDS, 1)) for n, x in fed.options.items()}
    for side, vocab in (("inputs", ZOO[name].embedding.vocab), ("target", 31)):
        if side == "inputs" or side in fed.options:
            shape = (rows * ROUNDS, fed.options.get("target", fed.inputs).shape[1])
            if side == "inputs":
                shape = (shape[0], fed.inputs.shape[1])
            arrays[side] = tokens(f"curve.{name}.{side}", *shape, vocab=vocab or 2)
    if name == "document":
        arrays = {
            "inputs": normal("curve.document", 6, 4, 3),
            "targets": normal("curve.t", 6, 4, 3),
        }
        return ArrayBatches(arrays, batch=2, seed=5, shuffle=shuffle)
    arrays["targets"] = _targets(name, arrays)
    return ArrayBatches(arrays, batch=rows, seed=5, shuffle=shuffle)


def _targets(name: str, arrays: Mapping[str, Host]) -> Host:
    """Classes of rows, or of real positions, of which one in four is ignored."""
    head: Any = ZOO[name].head
    rows = len(arrays["inputs"])
    if name == "bert_classes":
        return tokens("curve.classes", rows, vocab=head.size)
    where = arrays.get("target_positions", arrays["positions"])
    classes = tokens(f"curve.{name}.targets", *where.shape, vocab=head.size)
    kept = tokens(f"curve.{name}.kept", *where.shape, vocab=4) > 0
    return np.where((where >= 0) & kept, classes, -1)


def build_trainer(s: Subject, name: str, optimizer: OptimizerConfig, **changes: Any) -> Trainer:
    """The backend's trainer for a model of the zoo, in the run's dtype."""
    dtype: Any = s.dtype
    settings: dict[str, Any] = {
        "model": ZOO[name],
        "loss": LossConfig(kind="mse" if name == "document" else "cross_entropy"),
        "optimizer": optimizer,
        "schedule": ScheduleConfig(kind="constant", rate=RATE),
        "steps": STEPS,
        "policy": PrecisionPolicy(params=dtype, compute=dtype, output=dtype),
    }
    config = TrainerConfig(**{**settings, **changes})
    trainer: Trainer = s.factory.create("trainer", config)
    return trainer


ADAM = OptimizerConfig(kind="adam")


def _curve(s: Subject, name: str) -> None:
    fed, first = data(name), values(s, name)
    trainer, recorder = build_trainer(s, name, ADAM), Losses()
    trainer.fit(trainer.start(first), fed, callbacks=[recorder])

    def honest(ar: Any) -> list[Host]:
        batches = (fed.at(i) for i in range(STEPS))
        kind = "mse" if name == "document" else "cross_entropy"
        return oracle.run(ar, ZOO[name], kind, first, batches, oracle.adam(RATE))[0]

    s.demand("steps", expected=STEPS, got=len(recorder.losses))
    limits = s.budgets("losses", honest)
    for step, (loss, limit) in enumerate(zip(recorder.losses, limits, strict=True), 1):
        s.judge(f"loss of step {step}", np.asarray(loss), limit)


def _curve_case(name: str) -> Case:
    return Case(
        level="training",
        name=f"curve.{name}",
        run=lambda s: _curve(s, name),
        dtypes=("float32",),
        training=True,
        doc="Fifty steps of Adam over batches in another order each epoch.",
    )


CURVES = MappingProxyType({name: _curve_case(name) for name in _KINDS})
CASES = tuple(CURVES.values())


@case(level="training", id="programs", dtypes=("float32",), training=True)
def programs(s: Subject) -> None:
    """The tutorial's programs: the loss of every step."""
    done = run_programs(s.factory)
    limits = expected_curves(first_weights(s.factory), partial(s.budgets, "losses"))
    for program in PROGRAMS:
        losses = done[program.id].losses
        s.demand(f"{program.id}: steps", expected=program.steps, got=len(losses))
        for step, (loss, limit) in enumerate(zip(losses, limits[program.id], strict=True), 1):
            s.judge(f"{program.id}: loss of step {step}", np.asarray(loss), limit)
