"""What a run does besides steps: note, evaluate, save, and stop when asked."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, final

import pytest
from made_trackers import registry

from lmkernel.errors import NotFiniteError
from lmkernel.interfaces import StepResult, TrainingState
from lmkernel.progress import Progress
from lmkernel.training.data import Batches, RunData
from lmkernel.training.run.display import Display
from lmkernel.training.run.meter import Workload
from lmkernel.training.run.metrics_log import MetricsLog
from lmkernel.training.run.recording import (
    Best,
    Evaluations,
    Interrupts,
    Recorder,
    Saves,
    bits_per_byte,
    metrics_of,
)
from lmkernel.training.run.settings import StepSettings
from lmkernel.training.run.trackers import open_trackers
from lmkernel.training.trackers import RunInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmkernel.training.data import Batch

RESULT = StepResult(loss=2.5, count=8.0, norm=0.5, rate=0.01)


@final
class Data(Batches):
    def __len__(self) -> int:
        return 1

    def at(self, index: int) -> Batch:
        raise AssertionError(index)

    @property
    def digest(self) -> str:
        return "0"


@final
class Script:
    """Evaluates to one loss after another."""

    def __init__(self, *losses: float) -> None:
        self.losses = list(losses)

    def evaluate(self, state: TrainingState, data: Batches) -> dict[str, float]:
        del state, data
        return {"loss": self.losses.pop(0), "targets": 10.0}


def state(step: int) -> TrainingState:
    return TrainingState(step, {}, {}, {})


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """One that writes to files, a tracker among them."""
    run = RunInfo(name="r", folder=tmp_path)
    stream = io.StringIO()
    with (
        MetricsLog(tmp_path / "log") as log,
        registry().use(),
        open_trackers(["diary"], run) as trackers,
        Display(Workload(total=6), Progress(stream)) as display,
    ):
        yield Recorder(log, trackers, display, 64)


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def evaluations(recorder: Recorder, best: Best, size: int = 0, **settings: Any) -> Evaluations:
    data = RunData(training=Data(), validation=Data(), validation_bytes=size)
    steps = StepSettings(**{"steps": 6, "evaluate_every": 2, **settings})
    return Evaluations(steps, data, recorder.note, best)


def ran(hook: Any, trainer: Any, steps: int = 6) -> int:
    """The step after which the hook asks to stop, or the last."""
    for step in range(1, steps + 1):
        if hook.after_step(trainer, state(step), RESULT):
            return step
    return steps


def test_a_step_is_noted_in_log_and_trackers(recorder: Recorder, tmp_path: Path) -> None:
    assert recorder.after_step(Script(), state(3), RESULT) is False  # type: ignore[arg-type]  # no part of it
    values = {"train/loss": 2.5, "train/rate": 0.01, "train/norm": 0.5, "train/tokens": 64.0}
    assert logged(tmp_path) == [{"step": 3, **values}]
    assert (tmp_path / "diary").read_text().splitlines()[1:] == [f"diary log 3 {values}"]


def test_an_interrupt_is_told_to_trackers_once(recorder: Recorder, tmp_path: Path) -> None:
    recorder.note_interrupt()
    recorder.note_interrupt()
    recorder.note(4, {"train/loss": 1.0})
    assert (tmp_path / "diary").read_text().splitlines()[1:] == ["diary close interrupted"]


# evaluations


def test_evaluates_every_so_many_steps_and_at_the_end(recorder: Recorder, tmp_path: Path) -> None:
    hook = evaluations(recorder, Best({}), evaluate_every=4)
    assert ran(hook, Script(3.0, 2.0)) == 6
    assert logged(tmp_path) == [
        {"step": 4, "validation/loss": 3.0},
        {"step": 6, "validation/loss": 2.0},
    ]
    assert hook.latest == {"loss": 2.0, "targets": 10.0}


def test_evaluates_at_the_end_alone_if_told_so(recorder: Recorder, tmp_path: Path) -> None:
    ran(evaluations(recorder, Best({}), evaluate_every=0), Script(3.0))
    assert [line["step"] for line in logged(tmp_path)] == [6]


def test_bits_per_byte_follow_from_loss_targets_and_bytes(
    recorder: Recorder, tmp_path: Path
) -> None:
    ran(evaluations(recorder, Best({}), size=5, evaluate_every=0), Script(math.log(2)))
    assert logged(tmp_path)[0]["validation/bits_per_byte"] == pytest.approx(2.0)
    assert bits_per_byte({"loss": math.log(4), "targets": 6.0}, 24) == pytest.approx(0.5)


def test_bits_per_byte_are_left_out_where_bytes_are_unknown() -> None:
    data = RunData(training=Data(), validation=Data())
    assert metrics_of(Script(1.0), state(1), data) == {"loss": 1.0, "targets": 10.0}  # type: ignore[arg-type]  # only evaluates


def test_the_best_is_the_first_of_the_lowest(recorder: Recorder) -> None:
    best = Best({})
    ran(evaluations(recorder, best), Script(3.0, 2.0, 2.0))
    assert best.facts() == {"step": 4, "loss": 2.0, "worse": 1}


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_validation_loss_that_is_no_number_stops_the_run(
    recorder: Recorder, tmp_path: Path, loss: float
) -> None:
    best = Best({})
    with pytest.raises(NotFiniteError, match=f"^step 4: expected a finite validation .* {loss}$"):
        ran(evaluations(recorder, best), Script(2.0, loss))
    assert best.facts() == {"step": 2, "loss": 2.0, "worse": 0}
    assert [line["step"] for line in logged(tmp_path)] == [2, 4]


def test_stops_when_patience_is_at_its_end(recorder: Recorder) -> None:
    best = Best({})
    hook = evaluations(recorder, best, steps=20, evaluate_every=2, patience=2)
    assert ran(hook, Script(3.0, 2.0, 2.5, 2.1, 9.9), 20) == 8
    assert best.facts() == {"step": 4, "loss": 2.0, "worse": 2}


def test_a_better_one_gives_new_patience(recorder: Recorder) -> None:
    hook = evaluations(recorder, Best({}), steps=8, evaluate_every=1, patience=2)
    assert ran(hook, Script(3.0, 4.0, 2.0, 4.0, 1.0, 4.0, 0.5, 4.0), 8) == 8


def test_patience_goes_on_where_a_checkpoint_left_it(recorder: Recorder) -> None:
    kept = Best({"step": 4, "loss": 2.0, "worse": 1})
    assert ran(evaluations(recorder, kept, patience=2), Script(2.5)) == 2
    assert Best(kept.facts()).has_run_out(StepSettings(patience=2))
    assert not Best(kept.facts()).has_run_out(StepSettings(patience=3))
    assert not Best(kept.facts()).has_run_out(StepSettings(patience=0))


def test_nothing_evaluated_is_no_best() -> None:
    assert Best({}).facts() == {}


# checkpoints


def saved(best: Best, every: int, steps: int) -> list[int]:
    written: list[int] = []
    hook = Saves(StepSettings(checkpoint_every=every), lambda s: written.append(s.step), best)
    ran(hook, None, steps)
    hook.save(state(steps))
    return written


@pytest.mark.parametrize(
    ("every", "best", "expected"),
    [(2, None, [2, 4, 5]), (0, None, [5]), (5, None, [5]), (4, 3, [3, 4, 5]), (4, 4, [4, 5])],
)
def test_saves_every_so_many_steps_at_each_best_and_last_and_none_twice(
    every: int, best: int | None, expected: list[int]
) -> None:
    facts = {} if best is None else {"step": best, "loss": 1.0}
    assert saved(Best(facts), every, 5) == expected


# interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_to_stop_and_the_second_does_not_wait(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)  # whoever began the tests
    try:
        with Interrupts() as interrupts:
            assert not interrupts.after_step(None, state(1), RESULT)  # type: ignore[arg-type]  # no part of it
            os.kill(os.getpid(), number)
            assert interrupts.after_step(None, state(2), RESULT)  # type: ignore[arg-type]  # no part of it
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)


def test_what_signals_did_before_they_do_after() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_low_signal_that_is_ignored_stays_ignored_as_by_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupts.asked
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_than_the_main_one_leaves_signals_alone() -> None:
    seen: list[bool] = []

    def enter() -> None:
        with Interrupts() as interrupts:
            seen.append(interrupts.asked)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [False]
