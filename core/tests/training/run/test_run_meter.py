"""Loss, speed and time left, from steps that take a known time."""

from __future__ import annotations

import re
from typing import final

import pytest

from lmkernel.progress import duration
from lmkernel.training.run.meter import Meter, Workload, flops_per_token


@final
class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@final
class Run:
    """A meter whose steps are told how long they take."""

    def __init__(self, work: Workload) -> None:
        self.clock = Clock()
        self.meter = Meter(work, self.clock)
        self.at = work.start

    def step(self, seconds: float, tokens: float = 100.0, **values: float) -> None:
        self.clock.now += seconds
        self.at += 1
        named = {f"train/{name}": value for name, value in values.items()}
        self.meter.step(self.at, {"train/tokens": tokens, **named})


def test_nothing_is_known_before_the_first_step() -> None:
    meter = Run(Workload(total=10, start=4)).meter
    assert (meter.loss, meter.learning_rate) == (None, None)
    assert (meter.speed, meter.share, meter.left) == (None, None, None)


def test_loss_is_a_mean_without_bias_at_first() -> None:
    run = Run(Workload(total=10))
    run.step(1, loss=4.0)
    assert run.meter.loss == 4.0
    run.step(1, loss=2.0)
    assert run.meter.loss == pytest.approx((0.9 * 4 + 2) / 1.9)


def test_learning_rate_is_the_last_one() -> None:
    run = Run(Workload(total=10))
    run.step(1, rate=0.5)
    run.step(1, rate=0.25)
    assert run.meter.learning_rate == 0.25


def test_first_step_in_which_a_backend_compiles_is_no_part_of_the_speed() -> None:
    run = Run(Workload(total=10))
    run.step(60)
    assert run.meter.speed is None
    run.step(0.5)
    run.step(1.5)
    assert run.meter.speed == pytest.approx(100.0)


def test_speed_follows_the_last_steps() -> None:
    run = Run(Workload(total=1000))
    for seconds in [1.0] * 100 + [2.0] * 50:
        run.step(seconds)
    assert run.meter.speed == pytest.approx(50.0)


def test_pauses_are_no_part_of_the_speed_and_part_of_the_time_left() -> None:
    run = Run(Workload(total=10))
    run.step(60)
    run.step(1)
    run.clock.now += 3
    run.meter.note_pause()
    with run.meter.pause():
        run.clock.now += 5
    run.step(1)
    run.step(1)
    assert run.meter.speed == pytest.approx(100.0)
    assert run.meter.left == pytest.approx(6 * (1 + 8 / 4))


def test_time_left_of_a_resumed_run_is_of_its_own_steps() -> None:
    run = Run(Workload(total=110, start=100))
    for _ in range(4):
        run.step(2)
    assert run.meter.left == pytest.approx(12.0)


def test_nothing_is_left_at_the_end() -> None:
    run = Run(Workload(total=2))
    run.step(1)
    run.step(1)
    assert run.meter.left == 0.0


def test_share_is_of_the_peak() -> None:
    run = Run(Workload(total=10, flops_per_token=6e6, peak=3e9))
    run.step(1)
    run.step(1)
    assert run.meter.share == pytest.approx(0.2)


def test_share_above_the_peak_is_unknown() -> None:
    run = Run(Workload(total=10, flops_per_token=6e6, peak=3e8))
    run.step(1)
    run.step(1)
    assert run.meter.share is None


def test_share_without_a_peak_is_unknown() -> None:
    run = Run(Workload(total=10, flops_per_token=6e6))
    run.step(1)
    run.step(1)
    assert run.meter.share is None


def test_description_has_what_matters_most_first() -> None:
    run = Run(Workload(total=40, flops_per_token=6e6, peak=3e9))
    run.step(1, loss=2.34567, rate=3e-4)
    run.step(1, loss=2.34567, rate=3e-4)
    assert re.fullmatch(
        r"loss 2\.3457, 0:38 left, 100 tokens/s, 20% of peak, learning rate 3\.00e-04, "
        r"memory [\d.]+ [MG]B, at most [\d.]+ [MG]B",
        run.meter.describe(),
    )


def test_description_leaves_out_what_is_not_known() -> None:
    words = Run(Workload(total=40)).meter.describe()
    assert re.fullmatch(r"memory [\d.]+ [MG]B, at most [\d.]+ [MG]B", words)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (65.4, "1:05"), (3599.6, "1:00:00"), (7265, "2:01:05")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_operations_of_a_token_by_hand() -> None:
    """One layer of width 2 over 3 positions: 5 parameters, scores and sums of 2·3·2 each way."""
    attention = 2 * (2 * 3 * 2) * 3  # two products, multiply and add, forward and twice backward
    assert flops_per_token(parameters=5, layers=1, width=2, context=3) == 6 * 5 + attention
