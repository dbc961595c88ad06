from __future__ import annotations

import math

import pytest

from lmkernel.training.config import ScheduleConfig
from lmkernel.training.step.schedules import learning_rate


def rates(steps: int, **settings: object) -> list[float]:
    config = ScheduleConfig(rate=0.8, **settings)  # type: ignore[arg-type]  # each test names fields
    return [learning_rate(config, step, steps) for step in range(1, steps + 1)]


def test_constant_is_constant_after_warmup() -> None:
    assert rates(6, kind="constant", warmup=4) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


def test_without_warmup_step_one_has_the_whole_rate() -> None:
    for kind in ("constant", "linear", "cosine", "wsd"):
        assert rates(5, kind=kind, cooldown=2)[0] == 0.8


def test_with_warmup_step_one_has_the_first_share() -> None:
    for kind in ("constant", "linear", "cosine", "wsd"):
        got = rates(9, kind=kind, warmup=4, cooldown=2)
        assert got[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_linear_falls_by_equal_steps_to_the_floor() -> None:
    got = rates(6, kind="linear", warmup=2, floor=0.5)
    assert got == pytest.approx([0.4, 0.8, 0.7, 0.6, 0.5, 0.4])


def test_cosine_is_half_way_down_in_the_middle() -> None:
    got = rates(5, kind="cosine", floor=0.25)
    eighth = 0.2 + 0.6 * (1 + math.cos(math.pi / 4)) / 2
    assert got == pytest.approx([0.8, eighth, 0.5, 1.0 - eighth, 0.2])


def test_wsd_is_stable_and_then_falls() -> None:
    got = rates(8, kind="wsd", warmup=2, cooldown=4)
    assert got == pytest.approx([0.4, 0.8, 0.8, 0.8, 0.6, 0.4, 0.2, 0.0])


def test_wsd_without_cooldown_stays() -> None:
    assert rates(3, kind="wsd") == [0.8, 0.8, 0.8]
    assert learning_rate(ScheduleConfig(kind="wsd", rate=0.8), 9, 3) == pytest.approx(0.8)


@pytest.mark.parametrize("kind", ["linear", "cosine", "wsd"])
@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_last_step_is_the_floor_and_what_comes_after_stays_there(kind: str, warmup: int) -> None:
    config = ScheduleConfig(kind=kind, rate=0.8, warmup=warmup, cooldown=5, floor=0.1)
    assert learning_rate(config, 20, 20) == pytest.approx(0.08)
    assert learning_rate(config, 25, 20) == pytest.approx(0.08)


def test_where_rise_and_fall_overlap_the_lower_one_holds() -> None:
    got = rates(4, kind="wsd", warmup=4, cooldown=4)
    assert got == pytest.approx([0.2, 0.4, 0.2, 0.0])


def test_a_run_shorter_than_its_warmup_only_rises() -> None:
    assert rates(2, kind="cosine", warmup=4) == pytest.approx([0.2, 0.4])


def test_a_run_of_one_step_takes_it_at_the_whole_rate() -> None:
    for kind in ("constant", "linear", "cosine", "wsd"):
        assert rates(1, kind=kind) == [0.8]
