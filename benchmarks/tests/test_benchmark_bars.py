from __future__ import annotations

import pytest
from bars import BARS, METRICS, verdicts
from contestants import BACKENDS


def test_a_rival_is_its_best_variant() -> None:
    medians = {
        "transformers generate": {"decode1": 10.0},
        "transformers loop": {"decode1": 12.0},
        "kerashub-jax default": {"decode1": 99.0},
        "lmkernel numpy": {"decode1": 24.0},
    }
    (verdict,) = verdicts(medians)
    assert (verdict.rival, verdict.ratio, verdict.bar) == ("transformers loop", 2.0, 2.0)


def test_the_best_variant_of_a_time_is_the_shortest() -> None:
    medians = {
        "transformers generate": {"cold_seconds": 4.0},
        "transformers static": {"cold_seconds": 5.0},
        "lmkernel numpy": {"cold_seconds": 2.0},
    }
    (verdict,) = verdicts(medians)
    assert verdict.rival == "transformers generate"


@pytest.mark.parametrize(
    ("metric", "ours", "met"),
    [
        ("decode1", 20.0, True),
        ("decode1", 19.9, False),
        ("cold_seconds", 4.5, True),
        ("cold_seconds", 4.6, False),
        ("decode8", 0.1, None),
    ],
)
def test_speeds_reach_the_bar_and_times_stay_under_it(
    metric: str, ours: float, met: bool | None
) -> None:
    medians = {"transformers generate": {metric: 10.0}, "lmkernel numpy": {metric: ours}}
    (verdict,) = verdicts(medians)
    assert verdict.is_met is met


def test_each_backend_meets_its_own_rival() -> None:
    medians = {
        "kerashub-tensorflow default": {"decode1": 1.0},
        "kerashub-jax default": {"decode1": 2.0},
        "lmkernel tensorflow": {"decode1": 1.0},
        "lmkernel jax": {"decode1": 1.0},
    }
    rivals = [verdict.rival for verdict in verdicts(medians)]
    assert rivals == ["kerashub-tensorflow default", "kerashub-jax default"]


def test_without_a_rival_there_is_no_verdict() -> None:
    assert verdicts({"lmkernel jax": {"decode1": 1.0}}) == []


def test_every_bar_names_a_metric_and_a_backend() -> None:
    assert {(m in METRICS, b in BACKENDS) for m, b in BARS} == {(True, True)}
