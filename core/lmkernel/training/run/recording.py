"""What `Trainer.fit` does besides steps in a run: note, evaluate, save, and stop when asked.

Each is a `Callback`. They run in this order: a step's numbers are noted first, then the model is
metrics_of, then a checkpoint may be written that knows whether it is the best.
"""

from __future__ import annotations

import math
import signal
import threading
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.interfaces import Callback
from lmkernel.training.data.batches import MeasuredBatches
from lmkernel.training.step.checks import check_validation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.interfaces import StepResult, Trainer, TrainingState
    from lmkernel.training.data import RunData
    from lmkernel.training.run.display import Display
    from lmkernel.training.run.metrics_log import MetricsLog
    from lmkernel.training.run.settings import StepSettings
    from lmkernel.training.run.trackers import Trackers
    from lmkernel.training.run.traffic import Traffic

__all__ = [
    "Best",
    "Evaluations",
    "Interrupts",
    "Recorder",
    "Saves",
    "bits_per_byte",
    "metrics_of",
]

VALIDATION = "validation/"


@final
class Recorder(Callback):
    """Numbers go to the run's log, the trackers and the display.

    Args:
        log, trackers, display: where.
        tokens: how many inputs one step has.
        traffic: counts what is sent, where there are several processes.
    """

    def __init__(
        self,
        log: MetricsLog,
        trackers: Trackers,
        display: Display,
        tokens: int,
        traffic: Traffic | None = None,
    ) -> None:
        self.display, self.traffic = display, traffic
        self._log, self._trackers, self._tokens = log, trackers, tokens

    def after_step(self, trainer: Trainer, state: TrainingState, result: StepResult) -> bool:
        """Note the step."""
        del trainer
        values = {
            "train/loss": result.loss,
            "train/rate": result.rate,
            "train/norm": result.norm,
            "train/tokens": float(self._tokens),
        }
        if self.traffic is not None and (sent := self.traffic.step()) is not None:
            values["train/sent"] = float(sent)
        self.note(state.step, values)
        return False

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name at a step."""
        self._log.append(step, values)
        self._trackers.log(step, values)
        self.display.update(step, values)

    def note_interrupt(self) -> None:
        """End what trackers record: the run is to be resumed."""
        self._trackers.close("interrupted")


@final
class Best:
    """The best evaluation so far.

    Args:
        facts: what a checkpoint kept of it, or empty.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.step: int | None = facts.get("step")
        self.loss = float(facts.get("loss", math.inf))
        self.worse = int(facts.get("worse", 0))

    def judge(self, step: int, loss: float) -> None:
        """Take in one more evaluation."""
        if loss < self.loss:
            self.step, self.loss, self.worse = step, loss, 0
        else:
            self.worse += 1

    def has_run_out(self, settings: StepSettings) -> bool:
        """Whether the patience with worse evaluations is at its end."""
        return 0 < settings.patience <= self.worse

    def summary(self) -> dict[str, Any]:
        """Its step and its loss; empty before the first evaluation."""
        return {} if self.step is None else {"step": self.step, "loss": self.loss}

    def facts(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return self.summary() and {**self.summary(), "worse": self.worse}


@final
class Evaluations(Callback):
    """Evaluates every so many steps and at the end; asks to stop when nothing gets better.

    Args:
        settings: how often, and how many worse ones are borne.
        steps: of the whole run.
        data: the validation data.
        note: takes the numbers of a step by name.
        best: is told.
    """

    def __init__(
        self,
        settings: StepSettings,
        data: RunData,
        note: Callable[[int, Mapping[str, float]], None],
        best: Best,
    ) -> None:
        self._settings, self._data = settings, data
        self._note, self._best = note, best
        self.latest: dict[str, float] = {}

    def after_step(self, trainer: Trainer, state: TrainingState, result: StepResult) -> bool:
        """Evaluate if it is time."""
        del result
        every = self._settings.evaluate_every
        due = every and state.step % every == 0
        if not due and state.step != self._settings.steps:
            return False
        self.latest = metrics_of(trainer, state, self._data)
        values = {VALIDATION + name: x for name, x in self.latest.items() if name != "targets"}
        self._note(state.step, values)
        check_validation(self.latest["loss"], state.step)
        self._best.judge(state.step, self.latest["loss"])
        return self._best.has_run_out(self._settings)


def metrics_of(trainer: Trainer, state: TrainingState, data: RunData) -> dict[str, float]:
    """The metrics on the validation data, ``"bits_per_byte"`` among them where bytes are known."""
    values, held = trainer.evaluate(state, data.validation), data.validation
    if isinstance(held, MeasuredBatches):
        batches = (held.at(number) for number in range(len(held)))
        values |= held.scores((batch, trainer.predict(state, batch)) for batch in batches)
    size = data.validation_bytes
    return {**values, "bits_per_byte": bits_per_byte(values, size)} if size else values


def bits_per_byte(values: Mapping[str, float], size: int) -> float:
    """The loss of all targets in bits, divided by the bytes of text."""
    return values["loss"] * values["targets"] / (math.log(2) * size)


@final
class Saves(Callback):
    """Writes a checkpoint every so many steps, and at each new best.

    Args:
        settings: how often.
        save: writes one.
        best: which step is the best so far.
    """

    def __init__(
        self, settings: StepSettings, save: Callable[[TrainingState], None], best: Best
    ) -> None:
        self._every, self._save, self._best = settings.checkpoint_every, save, best
        self.saved = -1

    def after_step(self, trainer: Trainer, state: TrainingState, result: StepResult) -> bool:
        """Save if it is time."""
        del trainer, result
        due = self._every and state.step % self._every == 0
        if due or self._best.step == state.step:
            self.save(state)
        return False

    def save(self, state: TrainingState) -> None:
        """Save, unless this step is saved already."""
        if state.step != self.saved:
            self._save(state)
            self.saved = state.step


@final
class Interrupts(Callback):
    """The first Ctrl-C, SIGTERM or SIGHUP stops the run after the step that is being taken.

    A second one does not wait. One that is ignored stays so, as by ``nohup``. A context manager,
    which puts the old handlers back.
    """

    def __init__(self) -> None:
        self.asked = False
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other may
            for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None)):
                if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                    self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        del number, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def after_step(self, trainer: Trainer, state: TrainingState, result: StepResult) -> bool:
        """True once it was asked for."""
        del trainer, state, result
        return self.asked
