from __future__ import annotations

import pytest
from bars import verdicts
from decoding import Decoding
from subject import OURS, Subject
from train_steps import Training

SUBJECTS = [Decoding(), Training()]


def test_a_rival_is_its_best_variant() -> None:
    medians = {
        "transformers generate": {"decode1": 10.0},
        "transformers loop": {"decode1": 12.0},
        "kerashub-jax default": {"decode1": 99.0},
        "lmkernel numpy": {"decode1": 24.0},
    }
    (verdict,) = verdicts(Decoding(), medians)
    assert (verdict.rival, verdict.ratio, verdict.bar) == ("transformers loop", 2.0, 2.0)


def test_the_best_variant_of_a_time_is_the_shortest() -> None:
    medians = {
        "transformers generate": {"cold_seconds": 4.0},
        "transformers static": {"cold_seconds": 5.0},
        "lmkernel numpy": {"cold_seconds": 2.0},
    }
    (verdict,) = verdicts(Decoding(), medians)
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
    (verdict,) = verdicts(Decoding(), medians)
    assert verdict.is_met is met


def test_each_backend_meets_its_own_rival() -> None:
    medians = {
        "kerashub-tensorflow default": {"decode1": 1.0},
        "kerashub-jax default": {"decode1": 2.0},
        "lmkernel tensorflow": {"decode1": 1.0},
        "lmkernel jax": {"decode1": 1.0},
    }
    rivals = [verdict.rival for verdict in verdicts(Decoding(), medians)]
    assert rivals == ["kerashub-tensorflow default", "kerashub-jax default"]


def test_mixed_precision_meets_the_time_of_float32_and_the_memory_of_its_like() -> None:
    medians = {
        "transformers float32": {"step": 1.0, "peak": 2000.0},
        "transformers-bfloat16 autocast": {"step": 0.6, "peak": 1500.0},
        "lmkernel torch-bfloat16": {"step": 0.4, "peak": 1200.0},
    }
    ratios = [verdict.ratio for verdict in verdicts(Training(), medians)]
    assert ratios == [0.4, 0.8]


def test_without_a_rival_there_is_no_verdict() -> None:
    assert verdicts(Decoding(), {"lmkernel jax": {"decode1": 1.0}}) == []


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda one: type(one).__name__)
def test_every_bar_names_a_metric_and_a_variant(subject: Subject) -> None:
    known = subject.metrics, subject.variants[OURS]
    assert {(m in known[0], v in known[1]) for m, v in subject.bars} == {(True, True)}


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda one: type(one).__name__)
def test_every_rival_has_variants_and_a_worker(subject: Subject) -> None:
    pairs = [(metric, ours) for metric in subject.metrics for ours in subject.variants[OURS]]
    groups = {subject.rival(*pair) for pair in pairs}
    assert groups <= {*subject.variants}
    assert {group.partition("-")[0] for group in groups} <= {*subject.scripts}
