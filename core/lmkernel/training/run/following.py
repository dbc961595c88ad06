"""A process of a run that another keeps the folder of: it takes the same steps and writes nothing.

Constraint: whatever all processes do together, `running` and this do in the same order: steps,
evaluations, and the gathering of what a checkpoint holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.training.run.recording import Best, Evaluations, Interrupts, Saves, metrics_of
from lmkernel.training.run.running import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lmkernel.training.run.session import Session

__all__ = ["follow_session"]


def follow_session(session: Session, latest: Path | None, model: Path) -> Outcome:
    """Take part in a run to its end.

    Args:
        session: what runs.
        latest: the checkpoint that process 0 goes on from, or None.
        model: where process 0 writes the resulting model.
    """
    training, trainer, best = session.settings.training, session.trainer, Best({})
    if latest is None:
        state = session.begin()
    else:
        state, saved = session.resume(latest)
        best = Best(saved.facts.get("best", {}))
    session.release()

    def complete() -> bool:
        return state.step >= training.steps or best.has_run_out(training)

    if complete():
        values = metrics_of(trainer, state, session.data)
        return Outcome(
            status="was finished",
            step=state.step,
            model=model,
            best=best.summary(),
            evaluation=values,
        )

    def ignore(step: int, values: Mapping[str, float]) -> None:
        del step, values

    evaluations = Evaluations(training, session.data, ignore, best)
    saves = Saves(training, trainer.attend_gathering, best)
    with Interrupts() as interrupts:
        state = trainer.fit(
            state,
            session.data.training,
            until=training.steps,
            accumulate=training.accumulate,
            callbacks=[evaluations, saves, interrupts],
        )
        saves.save(state)
    if not complete():
        return Outcome(status="interrupted", step=state.step, model=None, best=best.summary())
    return Outcome(
        status="finished" if state.step == training.steps else "stopped early",
        step=state.step,
        model=model,
        best=best.summary(),
        evaluation=evaluations.latest,
    )
