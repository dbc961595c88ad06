"""Runs a session in its folder: steps, evaluations, checkpoints, and the model at the end."""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, final

from lmkernel.errors import CheckpointError, NotFiniteError, RunError
from lmkernel.parameters import flatten
from lmkernel.settings.file import flat, to_toml
from lmkernel.training.run.display import Display
from lmkernel.training.run.machine import environment, peak_flops
from lmkernel.training.run.meter import Workload, flops_per_token
from lmkernel.training.run.plot import attempt_loss_curve
from lmkernel.training.run.recording import (
    Best,
    Evaluations,
    Interrupts,
    Recorder,
    Saves,
    metrics_of,
)
from lmkernel.training.run.results import save_checkpoint, write_result
from lmkernel.training.run.trackers import open_trackers
from lmkernel.training.trackers import RunInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lmkernel.interfaces import TrainingState
    from lmkernel.progress import Progress
    from lmkernel.training.run.folder import RunFolder
    from lmkernel.training.run.session import Session

__all__ = ["Outcome", "run_session"]

Status = Literal["finished", "stopped early", "interrupted", "was finished"]


@final
@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Args:
        status: how; ``"was finished"`` where no step was left to be taken.
        step: after which step.
        model: the folder of the resulting model; None after an interrupt.
        best: the step and the loss of the best evaluation.
        evaluation: what the last evaluation gave.
    """

    status: Status
    step: int
    model: Path | None
    best: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, float] = field(default_factory=dict)


def run_session(session: Session, folder: RunFolder, progress: Progress) -> Outcome:
    """Begin, or go on from the latest checkpoint in the folder.

    Args:
        session: what runs.
        folder: held by this process.
        progress: shows how it goes on.

    Raises:
        NotFiniteError: the loss is no number; the last checkpoint is kept, and named.
        LmkernelError: whatever else stops it, by its name; checkpoints are kept.
    """
    state, best = _state(session, folder)
    if _complete(session, state, best):
        values = metrics_of(session.trainer, state, session.data)
        return _outcome("was finished", session, folder, state, best, values)
    _describe(session, folder, state.step)
    with ExitStack() as stack:
        recorder = _recorder(stack, session, folder, progress, state.step)
        evaluations = Evaluations(session.settings.training, session.data, recorder, best)
        state = _fit(session, folder, state, recorder, evaluations, best)
        if not _complete(session, state, best):
            recorder.note_interrupt()
    _plot(folder, progress)
    if not _complete(session, state, best):
        return Outcome(status="interrupted", step=state.step, model=None, best=best.summary())
    early = state.step < session.settings.training.steps
    status: Status = "stopped early" if early else "finished"
    return _outcome(status, session, folder, state, best, evaluations.latest)


def _state(session: Session, folder: RunFolder) -> tuple[TrainingState, Best]:
    """Where the run stands, and its best evaluation until then."""
    latest = folder.latest()
    if latest is None:
        return session.begin(), Best({})
    state, saved = session.resume(latest)
    return state, Best(saved.facts.get("best", {}))


def _complete(session: Session, state: TrainingState, best: Best) -> bool:
    """Whether no step is left to be taken."""
    training = session.settings.training
    return state.step >= training.steps or best.has_run_out(training)


def _fit(
    session: Session,
    folder: RunFolder,
    state: TrainingState,
    recorder: Recorder,
    evaluations: Evaluations,
    best: Best,
) -> TrainingState:
    """All steps that are left, or fewer after an interrupt; the last one is saved."""

    def save(state: TrainingState) -> None:
        with recorder.display.pause():
            save_checkpoint(session, folder, state, best)

    training = session.settings.training
    saves = Saves(training, save, best)
    with _name_the_last_checkpoint(folder), Interrupts() as interrupts:
        state = session.trainer.fit(
            state,
            session.data.training,
            until=training.steps,
            accumulate=training.accumulate,
            callbacks=[recorder, evaluations, saves, interrupts],
        )
        saves.save(state)
    return state


@contextmanager
def _name_the_last_checkpoint(folder: RunFolder) -> Iterator[None]:
    """What stops a run says which checkpoint is there to go on from."""
    try:
        yield
    except (CheckpointError, NotFiniteError, RunError) as error:
        kept = folder.latest()
        there = f"the last checkpoint is {kept}" if kept else "no checkpoint was written yet"
        advice = "; try a lower rate or a longer warm-up" * isinstance(error, NotFiniteError)
        raise type(error)(f"{error}; {there}{advice}") from error


def _outcome(
    status: Status,
    session: Session,
    folder: RunFolder,
    state: TrainingState,
    best: Best,
    values: Mapping[str, float],
) -> Outcome:
    """Write the resulting model, and tell all."""
    with _name_the_last_checkpoint(folder):
        model = write_result(session, folder, best)
    return Outcome(
        status=status, step=state.step, model=model, best=best.summary(), evaluation=values
    )


def _describe(session: Session, folder: RunFolder, step: int) -> None:
    """Say in the folder exactly what runs."""
    backend = session.backend
    folder.write_settings(to_toml(session.settings), step)
    spec = backend.registry.select_backend(backend.name)
    folder.add_session(environment(spec, backend.device), step)


def _recorder(
    stack: ExitStack,
    session: Session,
    folder: RunFolder,
    progress: Progress,
    step: int,
) -> Recorder:
    """Where numbers go, closed with the stack; trackers learn how the run ended."""
    settings = session.settings
    info = RunInfo(name=folder.path.name, folder=folder.path, settings=flat(settings), step=step)
    log = stack.enter_context(folder.open_metrics(step))
    display = stack.enter_context(Display(_workload(session, step), progress))
    opened = open_trackers(settings.trackers, info, say=display.say)
    trackers = stack.enter_context(opened)
    tokens = session.data.training.at(0)["inputs"].size * settings.training.accumulate
    return Recorder(log, trackers, display, tokens)


def _workload(session: Session, step: int) -> Workload:
    """What a step costs, for the share of the machine's peak."""
    config = session.origin.config
    parameters = sum(math.prod(p.shape) for p in flatten(session.trainer.declare()).values())
    stack: Any = config.decoder or config.encoder
    context = session.data.training.at(0)["inputs"].shape[1]
    each = flops_per_token(parameters, stack.layers, stack.width, context)
    total = session.settings.training.steps
    return Workload(total=total, start=step, flops_per_token=each, peak=peak_flops())


def _plot(folder: RunFolder, progress: Progress) -> None:
    """The curve as a picture; a run goes on without one."""
    attempt_loss_curve(folder.plot, folder.metrics, progress.say)
