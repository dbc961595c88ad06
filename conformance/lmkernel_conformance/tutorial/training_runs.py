"""The tutorial's programs on a backend, and the budgets of their losses by the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.interfaces import Callback
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.oracle import training as oracle
from lmkernel_conformance.tutorial.programs import PROGRAMS, SEED, Program, trainer_config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.factory import ComponentFactory
    from lmkernel.interfaces import StepResult, Trainer, TrainingState
    from lmkernel_conformance.budget import Budget
    from lmkernel_conformance.oracle.arithmetic import Arithmetic

    Formula = Callable[[Arithmetic], list[Any]]

__all__ = ["Losses", "ProgramRun", "expected_curves", "run_programs"]


@final
class Losses(Callback):
    """A callback that keeps the loss of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def after_step(self, trainer: Trainer, state: TrainingState, result: StepResult) -> bool:
        """Keep the loss of the step."""
        del trainer, state
        self.losses.append(result.loss)
        return False


@final
@dataclass(frozen=True)
class ProgramRun:
    """The results of one program on one backend.

    Args:
        losses: the loss before each step.
        predictions: the outputs for the program's rows after training.
        evaluation: the metrics after training, the loss among them.
        weights: the trained weights.
    """

    losses: list[float]
    predictions: Any
    evaluation: dict[str, float]
    weights: Mapping[str, Any]


def run_programs(factory: ComponentFactory) -> dict[str, ProgramRun]:
    """Train, predict and evaluate each program on a backend, seed 42, float32."""
    done: dict[str, ProgramRun] = {}
    for program in PROGRAMS:
        trainer = factory.create("trainer", trainer_config(program))
        before = done[program.after].weights if program.after else None
        recorder = Losses()
        state = trainer.start(program.start(trainer.model.initial(SEED), before))
        state = trainer.fit(state, program.data, callbacks=[recorder])
        done[program.id] = ProgramRun(
            recorder.losses,
            trainer.predict(state, program.data.at(0)),
            trainer.evaluate(state, program.data),
            trainer.weights(state),
        )
    return done


def expected_curves(
    initial: Mapping[str, Mapping[str, Any]], measure: Callable[[Formula], list[Budget]]
) -> dict[str, list[Budget]]:
    """The budget of every step's loss in float32, by program.

    Args:
        initial: the first weights of each program's model, from our own generator.
        measure: gives the budgets of a formula, in float32.
    """

    def curves(ar: Arithmetic) -> list[Any]:
        found: list[Any] = []
        ends: dict[str, Mapping[str, Any]] = {}
        for program in PROGRAMS:
            start = program.start(initial[program.id], ends.get(program.after))
            batches = (program.data.at(i) for i in range(program.steps))
            update = oracle.adam(0.001, eps=1e-7)
            curve, ends[program.id] = oracle.run(
                ar, program.model, program.loss, start, batches, update
            )
            found.extend(curve)
        return found

    limits = iter(measure(curves))
    return {program.id: [next(limits) for _ in range(program.steps)] for program in PROGRAMS}


def share_of_budget(losses: list[float], limits: list[Budget]) -> float:
    """The largest share that a step's loss uses of its budget; above 1 where one is outside."""
    worst = 0.0
    for step, (loss, limit) in enumerate(zip(losses, limits, strict=True), 1):
        try:
            worst = max(worst, limit.judge(f"loss of step {step}", loss).share)
        except Discrepancy:
            return float("inf")
    return worst


def first_weights(factory: ComponentFactory) -> dict[str, Mapping[str, Any]]:
    """The first weights of each program's model: the same bits from any backend."""
    return {p.id: _initial(factory, p) for p in PROGRAMS}


def _initial(factory: ComponentFactory, program: Program) -> Mapping[str, Any]:
    from lmkernel.model import Model

    return Model(factory.backend, program.model).initial(SEED)
