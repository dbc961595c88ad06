"""Runs a session in its folder: steps, evaluations, checkpoints, and the model at the end."""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, final

from lmkernel.distribution.agreement import watch_peers
from lmkernel.errors import CheckpointError, NotFiniteError, RunError
from lmkernel.machine import environment, peak_flops
from lmkernel.parameters import flatten
from lmkernel.settings.file import flat, to_toml
from lmkernel.training.run.display import Display
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
from lmkernel.training.run.traffic import Traffic, describe_costs, work_of
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
    return _Run(session, folder, progress).go_on()


@final
class _Run:
    """A session in its folder, wherever it stands."""

    def __init__(self, session: Session, folder: RunFolder, progress: Progress) -> None:
        self._session, self._folder, self._progress = session, folder, progress
        self._training = session.settings.training
        latest, self._best = folder.latest(), Best({})
        if latest is None:
            self._state = session.begin()
        else:
            self._state, saved = session.resume(latest)
            self._best = Best(saved.facts.get("best", {}))
            self._require_best(latest)
        session.release()

    def _require_best(self, latest: Path) -> None:
        """The model comes from the best checkpoint, so it is missed before a step is taken."""
        step = self._best.step
        if step is not None and not self._folder.checkpoint(step).is_dir():
            raise RunError(
                f"{self._folder.checkpoint(step)}: expected the best checkpoint so far, which "
                f"{latest} names, got none; put it back, or begin a new run with model.start"
            )

    @property
    def _complete(self) -> bool:
        """Whether no step is left to be taken."""
        return self._state.step >= self._training.steps or self._best.has_run_out(self._training)

    def go_on(self) -> Outcome:
        """Take the steps that are left, and write the resulting model."""
        session = self._session
        if self._complete:
            values = metrics_of(session.trainer, self._state, session.data)
            return self._outcome("was finished", values)
        self._describe()
        with ExitStack() as stack:
            recorder = self._recorder(stack)
            evaluations = Evaluations(self._training, session.data, recorder.note, self._best)
            self._fit(recorder, evaluations)
            if not self._complete:
                recorder.note_interrupt()
        if recorder.traffic is not None:
            self._progress.say(describe_costs(recorder.traffic, work_of(session, self._state)))
        self._folder.restore(to_toml(session.settings))
        attempt_loss_curve(self._folder.plot, self._folder.metrics, self._progress.note)
        step, best = self._state.step, self._best.summary()
        if not self._complete:
            return Outcome(status="interrupted", step=step, model=None, best=best)
        early = step < self._training.steps
        return self._outcome("stopped early" if early else "finished", evaluations.latest)

    def _fit(self, recorder: Recorder, evaluations: Evaluations) -> None:
        """All steps that are left, or fewer after an interrupt; the last one is saved."""

        def save(state: TrainingState) -> None:
            with recorder.display.pause():
                save_checkpoint(self._session, self._folder, state, self._best)

        saves = Saves(self._training, save, self._best)
        together = watch_peers(self._session.backend.distribution)
        with self._name_the_last_checkpoint(), together, Interrupts() as interrupts:
            self._state = self._session.trainer.fit(
                self._state,
                self._session.data.training,
                until=self._training.steps,
                accumulate=self._training.accumulate,
                callbacks=[recorder, evaluations, saves, interrupts],
            )
            saves.save(self._state)

    @contextmanager
    def _name_the_last_checkpoint(self) -> Iterator[None]:
        """What stops a run says which checkpoint is there to go on from."""
        try:
            yield
        except (CheckpointError, NotFiniteError, RunError) as error:
            kept = self._folder.latest()
            there = f"the last checkpoint is {kept}" if kept else "no checkpoint was written yet"
            advice = "; try a lower rate or a longer warm-up" * isinstance(error, NotFiniteError)
            raise type(error)(f"{error}; {there}{advice}") from error

    def _outcome(self, status: Status, values: Mapping[str, float]) -> Outcome:
        """Write the resulting model, and tell all."""
        with self._name_the_last_checkpoint():
            model = write_result(self._session, self._folder, self._best)
        step, best = self._state.step, self._best.summary()
        return Outcome(status=status, step=step, model=model, best=best, evaluation=values)

    def _describe(self) -> None:
        """Say in the folder exactly what runs."""
        backend, step = self._session.backend, self._state.step
        self._folder.write_settings(to_toml(self._session.settings), step)
        spec = backend.registry.select_backend(backend.name)
        mesh = str(backend.distribution.mesh)
        several = {"mesh": mesh} if mesh else {}
        self._folder.add_session({**environment(spec, backend.device), **several}, step)

    def _recorder(self, stack: ExitStack) -> Recorder:
        """Where numbers go, closed with the stack; trackers learn how the run ended."""
        folder, settings, step = self._folder, self._session.settings, self._state.step
        shape = self._session.data.training.at(0)["inputs"].shape
        work = _workload(self._session, step, context=shape[1])
        info = RunInfo(
            name=folder.path.name, folder=folder.path, settings=flat(settings), step=step
        )
        log = stack.enter_context(folder.open_metrics(step))
        display = stack.enter_context(Display(work, self._progress))
        opened = open_trackers(settings.trackers, info, say=self._progress.note)
        trackers = stack.enter_context(opened)
        tokens = math.prod(shape) * self._training.accumulate
        several = self._session.backend.distribution.processes.count > 1
        return Recorder(log, trackers, display, tokens, Traffic() if several else None)


def _workload(session: Session, step: int, context: int) -> Workload:
    """What a step costs, for the share of the machine's peak."""
    config = session.origin.config
    parameters = sum(math.prod(p.shape) for p in flatten(session.trainer.declare()).values())
    stack: Any = config.decoder or config.encoder
    each = flops_per_token(parameters, stack.layers, stack.width, context)
    total = session.settings.training.steps
    return Workload(total=total, start=step, flops_per_token=each, peak=peak_flops())
