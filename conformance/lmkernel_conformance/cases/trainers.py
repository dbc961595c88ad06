"""A trainer beyond its loss curve: accumulation, clipping, resuming, dropout, evaluation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.training.config import OptimizerConfig, ScheduleConfig
from lmkernel.training.data import ArrayBatches
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.curves import ADAM, build_trainer, data
from lmkernel_conformance.cases.zoo import ZOO, values
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.oracle import training as oracle
from lmkernel_conformance.oracle.arithmetic import Arithmetic
from lmkernel_conformance.oracle.model import forward
from lmkernel_conformance.tutorial.training_runs import Losses

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.config import ModelConfig
    from lmkernel.interfaces import Trainer
    from lmkernel.training.data import Batch, Batches
    from lmkernel_conformance.subject import Subject

Host = Any

_SGD = OptimizerConfig(kind="sgd")
_RATE = 0.1


def _constant(rate: float) -> ScheduleConfig:
    return ScheduleConfig(kind="constant", rate=rate)


def _check_weights(
    s: Subject,
    trainer: Trainer,
    steps: list[list[Batch]],
    whole: list[Batch],
    update: Any,
    name: str = "gpt2",
    model: ModelConfig | None = None,
) -> None:
    """Judge losses and weights after some steps by the oracle's over whole batches."""
    first, config = values(s, name), model or ZOO[name]
    state, losses = trainer.start(first), []
    for micro in steps:
        state, result = trainer.step(state, micro)
        losses.append(result.loss)
    got = trainer.weights(state)

    def honest(ar: Any) -> list[Host]:
        curve, p = oracle.run(ar, config, "cross_entropy", first, whole, update())
        return [*curve, *(p[part] for part in first)]

    limits = s.budgets("losses and weights", honest)
    for step, (loss, limit) in enumerate(zip(losses, limits, strict=False), 1):
        s.judge(f"loss of step {step}", np.asarray(loss), limit)
    for part, limit in zip(first, limits[len(losses) :], strict=True):
        s.judge(f"{part} after the steps", got[part], limit)


def _unequal_batches() -> list[Batch]:
    """Micro-batches, the second with far fewer targets."""
    fed = data("gpt2", shuffle=False)
    batches = [fed.at(i) for i in range(len(fed))]
    few = batches[1]["targets"].copy()
    few[:, :4] = -1
    batches[1] = {**batches[1], "targets": few}
    return batches


@case(level="training", id="trainer.accumulation", rows=(21,), training=True)
def accumulation(s: Subject) -> None:
    """Micro-batches with unequal numbers of targets equal one batch: totals add up, not means."""
    micro = _unequal_batches()
    whole = {name: np.concatenate([b[name] for b in micro]) for name in micro[0]}
    trainer = build_trainer(s, "gpt2", _SGD, schedule=_constant(_RATE))
    _check_weights(s, trainer, [micro, micro], [whole, whole], lambda: oracle.sgd(_RATE))


@case(level="training", id="trainer.clipping", training=True)
def clipping(s: Subject) -> None:
    """The gradient of the mean is clipped, by its global norm."""
    fed = data("gpt2", shuffle=False)
    batches = [fed.at(0), fed.at(1)]
    trainer = build_trainer(s, "gpt2", _SGD, schedule=_constant(_RATE), clip=0.25)
    update: Callable[[], Any] = lambda: oracle.sgd(_RATE, clip=0.25)  # noqa: E731 - an argument
    _check_weights(s, trainer, [[b] for b in batches], batches, update)


def _model_with_balance() -> ModelConfig:
    """Two mixtures, whose balance is weighed so much that no part of it can be missing."""
    model: Any = ZOO["gpt_oss"]
    experts = replace(model.decoder.mlp.experts, balance=0.7)
    mlp = replace(model.decoder.mlp, experts=experts)
    made: ModelConfig = replace(model, decoder=replace(model.decoder, mlp=mlp))
    return made


@case(level="training", id="trainer.balance", training=True)
def balance(s: Subject) -> None:
    """What balances experts is added to the mean, of all layers together and without padding."""
    fed, model = data("gpt_oss", shuffle=False).at(0), _model_with_balance()
    trainer = build_trainer(s, "gpt_oss", _SGD, model=model, schedule=_constant(_RATE))
    _check_weights(s, trainer, [[fed]], [fed], lambda: oracle.sgd(_RATE), "gpt_oss", model)


def _model_with_dropout(*, embedding: float = 0.3) -> Any:
    """The model with dropout at every site, or in the decoder alone."""
    model = ZOO["gpt2"]
    return replace(
        model,
        embedding=replace(model.embedding, dropout=embedding),
        decoder=replace(model.decoder, dropout=0.3),  # type: ignore[type-var]  # there is one
    )


@case(level="training", id="trainer.resume", rows=(24,), training=True)
def resume(s: Subject) -> None:
    """Four steps, saving, restoring and four more give the bits of eight steps, with dropout."""
    fed, first = data("gpt2"), values(s, "gpt2")
    trainer = build_trainer(s, "gpt2", ADAM, model=_model_with_dropout())
    whole = trainer.fit(trainer.start(first), fed, until=8)
    half = trainer.fit(trainer.start(first), fed, until=4)
    saved = trainer.trained(half), trainer.optimizer_values(half)
    again = build_trainer(s, "gpt2", ADAM, model=_model_with_dropout())
    rest = again.fit(again.restore(first, *saved, half.step), fed, until=8)
    for name, expected in trainer.weights(whole).items():
        s.equal(name, again.weights(rest)[name], expected)
    for name, expected in trainer.optimizer_values(whole).items():
        s.equal(name, again.optimizer_values(rest)[name], expected)


@case(level="training", id="trainer.dropout", training=True)
def dropout(s: Subject) -> None:
    """Dropout differs between steps, repeats with the same run, and is off in evaluation."""
    fed, first = _same_each_time(data("gpt2")), values(s, "gpt2")

    def train(model: Any) -> tuple[Trainer, Any, list[float]]:
        trainer = build_trainer(s, "gpt2", _SGD, model=model, schedule=_constant(1e-30))
        recorder = Losses()
        state = trainer.fit(trainer.start(first), fed, until=3, callbacks=[recorder])
        return trainer, state, recorder.losses

    def honest(ar: Any) -> Host:
        p = {name: ar.constant(x) for name, x in first.items()}
        return oracle.mean_loss(ar, ZOO["gpt2"], "cross_entropy", p, fed.at(0))

    # the decoder is given its key by another way than the embedding
    for where, model in (
        ("everywhere", _model_with_dropout()),
        ("in the decoder", _model_with_dropout(embedding=0.0)),
    ):
        trainer, state, losses = train(model)
        s.demand(f"losses when repeated, {where}", expected=losses, got=train(model)[-1])
        if len(set(losses)) < len(losses):
            raise Discrepancy(f"{s.label}: expected another draw in each step {where}: {losses}")
        loss = trainer.evaluate(state, fed)["loss"]
        s.judge(
            f"loss in evaluation, {where}", np.asarray(loss), s.budgets("evaluation", honest)[0]
        )


@case(level="training", id="trainer.evaluation", training=True)
def evaluation(s: Subject) -> None:
    """Accuracy counts the real targets that are the likeliest class, over batches of any size."""
    fed, first = data("gpt2", shuffle=False).at(0), values(s, "gpt2")
    ar = Arithmetic()
    p = {name: ar.constant(x) for name, x in first.items()}
    options: dict[str, Any] = {
        name: x for name, x in fed.items() if name not in ("inputs", "targets")
    }
    likeliest = forward(ar, ZOO["gpt2"], p, fed["inputs"], **options).argmax(-1)
    # every third target is wrong, and what was ignored stays so
    wrong = np.arange(likeliest.size).reshape(likeliest.shape) % 3 == 0
    right = np.where(wrong, (likeliest + 1) % 31, likeliest)
    targets = np.where(fed["targets"] < 0, -1, right).astype(np.int32)
    trainer = build_trainer(s, "gpt2", _SGD)
    state = trainer.start(first)
    got = trainer.evaluate(state, ArrayBatches({**fed, "targets": targets}, batch=2))
    real = targets >= 0
    shown = {name: got.get(name) for name in ("targets", "accuracy")}
    share = float((~wrong)[real].mean())
    s.demand("sums", expected={"targets": float(real.sum()), "accuracy": share}, got=shown)


def _same_each_time(fed: Batches) -> Batches:
    return ArrayBatches(fed.at(0))
