"""What a trainer must do besides following a curve: accumulate, clip, resume, drop out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.training.config import OptimizerConfig, ScheduleConfig
from lmkernel.training.data import ArrayBatches
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.curves import ADAM, data, trainer
from lmkernel_conformance.cases.zoo import ZOO, values
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.document.training_runs import Losses
from lmkernel_conformance.oracle import training as oracle

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.interfaces import Trainer
    from lmkernel.training.data import Batch, Batches
    from lmkernel_conformance.subject import Subject

Host = Any

_SGD = OptimizerConfig(kind="sgd")
_RATE = 0.1


def _constant(rate: float) -> ScheduleConfig:
    return ScheduleConfig(kind="constant", rate=rate)


def _weights(
    s: Subject, made: Trainer, steps: list[list[Batch]], whole: list[Batch], update: Any
) -> None:
    """Losses and weights after some steps, against the oracle's over whole batches."""
    first = values(s, "gpt2")
    state, losses = made.start(first), []
    for micro in steps:
        state, told = made.step(state, micro)
        losses.append(told.loss)
    got = made.weights(state)

    def honest(ar: Any) -> list[Host]:
        curve, p = oracle.run(ar, ZOO["gpt2"], "cross_entropy", first, whole, update())
        return [*curve, *(p[name] for name in first)]

    limits = s.budgets("losses and weights", honest)
    for step, (loss, limit) in enumerate(zip(losses, limits, strict=False), 1):
        s.judge(f"loss of step {step}", np.asarray(loss), limit)
    for name, limit in zip(first, limits[len(losses) :], strict=True):
        s.judge(f"{name} after the steps", got[name], limit)


def _unequal() -> list[Batch]:
    """Micro-batches of which the second has far fewer targets."""
    fed = data("gpt2", shuffle=False)
    batches = [fed.at(i) for i in range(len(fed))]
    few = batches[1]["targets"].copy()
    few[:, :4] = -1
    batches[1] = {**batches[1], "targets": few}
    return batches


@case(level="training", id="trainer.accumulation", rows=(21,), training=True)
def accumulation(s: Subject) -> None:
    """Micro-batches of unequal counts are one batch of them all: totals add up, not means."""
    micro = _unequal()
    whole = {name: np.concatenate([b[name] for b in micro]) for name in micro[0]}
    made = trainer(s, "gpt2", _SGD, schedule=_constant(_RATE))
    _weights(s, made, [micro, micro], [whole, whole], lambda: oracle.sgd(_RATE))


@case(level="training", id="trainer.clipping", training=True)
def clipped(s: Subject) -> None:
    """The gradient of the mean is clipped, by its global norm."""
    fed = data("gpt2", shuffle=False)
    batches = [fed.at(0), fed.at(1)]
    made = trainer(s, "gpt2", _SGD, schedule=_constant(_RATE), clip=0.25)
    update: Callable[[], Any] = lambda: oracle.sgd(_RATE, clip=0.25)  # noqa: E731 - an argument
    _weights(s, made, [[b] for b in batches], batches, update)


def _dropping() -> Any:
    """The model with dropout at every site."""
    model = ZOO["gpt2"]
    return replace(
        model,
        embedding=replace(model.embedding, dropout=0.3),
        decoder=replace(model.decoder, dropout=0.3),  # type: ignore[type-var]  # there is one
    )


@case(level="training", id="trainer.resume", rows=(24,), training=True)
def resume(s: Subject) -> None:
    """Four steps, saved and restored, and four more are the same bits as eight, with dropout."""
    fed, first = data("gpt2"), values(s, "gpt2")
    made = trainer(s, "gpt2", ADAM, model=_dropping())
    whole = made.fit(made.start(first), fed, until=8)
    half = made.fit(made.start(first), fed, until=4)
    saved = made.trained(half), made.optimizer_values(half)
    again = trainer(s, "gpt2", ADAM, model=_dropping())
    rest = again.fit(again.restore(first, *saved, half.step), fed, until=8)
    for name, expected in made.weights(whole).items():
        s.equal(name, again.weights(rest)[name], expected)
    for name, expected in made.optimizer_values(whole).items():
        s.equal(name, again.optimizer_values(rest)[name], expected)


@case(level="training", id="trainer.dropout", training=True)
def dropout(s: Subject) -> None:
    """In training, another draw each step, the same when repeated; not in evaluation."""
    fed, first = _same_each_time(data("gpt2")), values(s, "gpt2")
    made = trainer(s, "gpt2", _SGD, model=_dropping(), schedule=_constant(1e-30))
    twice = []
    for _ in range(2):
        noted = Losses()
        state = made.fit(made.start(first), fed, until=3, callbacks=[noted])
        twice.append(noted.losses)
    s.demand("losses when repeated", expected=twice[0], got=twice[1])
    if len(set(twice[0])) < len(twice[0]):
        raise Discrepancy(f"{s.label}: expected another draw in each step, got {twice[0]}")

    def honest(ar: Any) -> Host:
        p = {name: ar.constant(x) for name, x in first.items()}
        return oracle.mean_loss(ar, ZOO["gpt2"], "cross_entropy", p, fed.at(0))

    loss = made.evaluate(state, fed)["loss"]
    s.judge("loss in evaluation", np.asarray(loss), s.budgets("evaluation", honest)[0])


def _same_each_time(fed: Batches) -> Batches:
    return ArrayBatches(fed.at(0))
