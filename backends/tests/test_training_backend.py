"""One step of training, compiled and by the backend's own means, against plain composition."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pytest
from letters import letters
from small import small_config, write_small
from training_files import done, rows
from training_samples import (
    DOUBLE,
    DROPPING,
    constant,
    letters_batch,
    letters_batches,
    made_trainer,
    small_gpt2,
)

from lmkernel.backend import Backend, load_backend
from lmkernel.composed import assemble
from lmkernel.config import PrecisionPolicy
from lmkernel.errors import CapabilityError
from lmkernel.interfaces import Callback
from lmkernel.model import Model
from lmkernel.training.config import LoraConfig, OptimizerConfig
from lmkernel.training.run.metrics_log import read_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lmkernel.interfaces import StepResult, Trainer, TrainingState
    from lmkernel.training.data import Batches
    from lmkernel.training.step.trainer import ComposedTrainer

MIXED = PrecisionPolicy(compute="bfloat16")


@pytest.fixture(scope="module")
def backend() -> Backend:
    """The one that LMKERNEL_BACKEND selects; a missing framework is an error, never a skip."""
    return load_backend()


@pytest.fixture(scope="module")
def plain() -> Backend:
    """NumPy with nothing but the mandatory tier and the compositions over it."""
    numpy = load_backend("numpy")
    return replace(numpy, ops=assemble(numpy.ops, {}), components={})


@final
class Losses(Callback):
    """Notes the loss of each step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def after_step(self, trainer: Trainer, state: TrainingState, result: StepResult) -> bool:
        del trainer, state
        self.seen.append(result.loss)
        return False


def first(trainer: ComposedTrainer) -> Mapping[str, np.ndarray]:
    return {name: 3 * x for name, x in trainer.model.initial(2).items()}


def take_step(trainer: ComposedTrainer) -> tuple[Mapping[str, np.ndarray], StepResult]:
    """Weights after one step over two unequal micro-batches."""
    batches = [letters_batch(2, seed=1), letters_batch(2, seed=2, learned=2)]
    state, told = trainer.step(trainer.start(first(trainer)), batches)
    return trainer.weights(state), told


def curve(trainer: ComposedTrainer, data: Batches, steps: int) -> list[float]:
    noted = Losses()
    trainer.fit(trainer.start(first(trainer)), data, until=steps, callbacks=[noted])
    return noted.seen


@pytest.mark.parametrize(
    ("policy", "lora", "rtol", "atol"),
    [
        (PrecisionPolicy(), None, 1e-6, 3e-6),
        (DOUBLE, LoraConfig(rank=2, targets=("q", "down")), 1e-12, 1e-13),
    ],
    ids=["whole in float32", "adapters in float64"],
)
def test_a_step_is_that_of_the_composition_in_float64(
    backend: Backend,
    plain: Backend,
    policy: PrecisionPolicy,
    lora: LoraConfig | None,
    rtol: float,
    atol: float,
) -> None:
    settings: dict[str, Any] = {"lora": lora, "clip": 0.5, "schedule": constant(1.0)}
    settings["optimizer"] = OptimizerConfig(kind="sgd", weight_decay=0.1)
    got, told = take_step(made_trainer(backend=backend, policy=policy, **settings))
    reference = made_trainer(backend=plain, policy=DOUBLE, **settings)
    expected, told_there = take_step(reference)
    start = first(reference)
    moved = max(float(np.abs(x - start[name]).max()) for name, x in expected.items())
    assert moved > 100 * atol
    for name, x in expected.items():
        np.testing.assert_allclose(got[name], x, rtol=rtol, atol=atol, err_msg=name)
    for field in ("loss", "count", "norm"):
        assert getattr(told, field) == pytest.approx(getattr(told_there, field), rel=10 * rtol)


def test_layers_computed_again_give_the_same_curve(backend: Backend) -> None:
    settings: dict[str, Any] = {"optimizer": OptimizerConfig(kind="sgd"), "policy": DOUBLE}
    settings["schedule"] = constant(0.01)
    kept, again = (
        curve(
            made_trainer(small_gpt2(**DROPPING), backend=backend, remat=remat, **settings),
            letters_batches(),
            4,
        )
        for remat in (False, True)
    )
    np.testing.assert_allclose(again, kept, rtol=1e-10)


def test_dropout_draws_differ_by_step_and_are_the_same_when_repeated(backend: Backend) -> None:
    data = letters_batches(rows=4)  # one batch an epoch; its rows in another order
    once, twice, still = (
        curve(made_trainer(model, backend=backend, schedule=constant(1e-30)), data, 4)
        for model in (small_gpt2(**DROPPING), small_gpt2(**DROPPING), small_gpt2())
    )
    assert twice == once
    assert len(set(once)) == 4
    assert max(once) - min(once) > 1000 * (max(still) - min(still))


def mixed_precision(backend: Backend) -> AbstractContextManager[Any]:
    """What making a trainer of mixed precision comes to: nothing, or a refusal."""
    if "bfloat16" in backend.capabilities.dtypes:
        return contextlib.nullcontext()
    return pytest.raises(CapabilityError, match="got 'bfloat16'")


def test_mixed_precision_learns_where_it_is_declared_and_is_refused_elsewhere(
    backend: Backend,
) -> None:
    """Parameters and their moments stay in float32; the curve is near that of float32."""
    settings: dict[str, Any] = {"optimizer": OptimizerConfig(kind="adamw"), "clip": 1.0}
    settings["schedule"] = constant(0.01)
    data = letters_batches(rows=4)
    with mixed_precision(backend):
        trainer = made_trainer(backend=backend, policy=MIXED, **settings)
        mixed = curve(trainer, data, 8)
        single = curve(made_trainer(backend=backend, **settings), data, 8)
        assert mixed[-1] < mixed[0] - 0.5
        np.testing.assert_allclose(mixed, single, rtol=0, atol=0.1)
        assert mixed != single
        state = trainer.start(first(trainer))
        saved = {**trainer.trained(state), **trainer.optimizer_values(state)}
        assert {str(x.dtype) for x in saved.values()} == {"float32"}


def test_a_run_that_began_on_numpy_goes_on_here(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On data that are padded as each backend likes it, through adapters."""
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))
    model = Model(load_backend("numpy"), small_config())
    write_small(tmp_path / "base", model, letters())
    taught = [{"prompt": "hi", "completion": "yo" * (n % 4 + 1)} for n in range(12)]
    data = rows(tmp_path / "a.jsonl", taught)
    begun, whole = tmp_path / "begun", tmp_path / "whole"
    base = ("finetune", tmp_path / "base", "--data", data, "--lora", "2", "--quiet", "--batch", "2")
    more = ("--rate", "0.01", "--set", "schedule.kind=constant", "--set", "schedule.warmup=0")
    done(*base, *more, "--backend", "numpy", "--steps", "2", "--out", begun)
    done("finetune", "--resume", begun, "--backend", backend.name, "--steps", "4", "--quiet")
    done(*base, *more, "--backend", "numpy", "--steps", "4", "--out", whole)
    ends = [list(read_metrics(run / "metrics.jsonl"))[-1] for run in (begun, whole)]
    assert [end["step"] for end in ends] == [4, 4]
    losses = [end["validation/loss"] for end in ends]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
