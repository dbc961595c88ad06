from __future__ import annotations

from typing import Any

from decoding import Decoding
from report import markdown
from summary import agreement, busiest, medians
from train_steps import Training


def speeds(name: str, *values: float, tokens: tuple[int, ...] = (1, 2, 3, 4)) -> list[Any]:
    return [
        {
            "contestant": name,
            "median": {"decode1": value},
            "tokens": {"decode1": [list(tokens)]},
            "versions": {"library": "1.0"},
            "threads": 2,
            "process": {"foreign": 0.01},
        }
        for value in values
    ]


def page(runs: list[Any], failures: tuple[dict[str, str], ...] = ()) -> str:
    return markdown(
        Decoding(),
        {"machine": {}, "settings": {"rounds": 3}, "runs": runs, "failures": list(failures)},
    )


def cold(name: str, text: str, foreign: float = 0.0) -> dict[str, Any]:
    seen = {"output": text, "seconds": 1.0, "peak_kib": 2048, "foreign": foreign}
    return {"contestant": name, "cold": seen}


def test_the_median_is_taken_over_the_rounds() -> None:
    assert medians(speeds("a", 1.0, 9.0, 2.0)) == {"a": {"decode1": 2.0}}


def test_the_table_shows_median_least_and_greatest() -> None:
    assert "2.0 (1.0–9.0)" in page(speeds("a", 1.0, 9.0, 2.0))


def test_agreement_is_the_share_of_equal_tokens() -> None:
    runs = [*speeds("a", 1.0), *speeds("b", 1.0, tokens=(1, 2, 3, 5))]
    assert agreement(runs) == {"a": 1.0, "b": 0.75}


def test_peak_memory_is_in_mib() -> None:
    assert medians([cold("a", "x")])["a"]["cold_peak"] == 2.0


def test_different_answers_are_reported() -> None:
    text = page([cold("a", "x"), cold("b", "y"), cold("c", "x\n")])
    assert "**The cold starts gave different answers**: a, c; b." in text


def test_a_busy_machine_is_reported() -> None:
    assert "took up to 40% of the" in page([cold("a", "x", foreign=0.4)])


def test_a_quiet_machine_is_not() -> None:
    assert "not quiet" not in page(speeds("a", 1.0))


def test_the_share_of_others_is_each_contestants_largest() -> None:
    runs = [cold("a", "x", foreign=0.4), cold("a", "x", foreign=0.1), cold("b", "x")]
    assert busiest(runs) == {"a": 0.4, "b": 0.0}


def training_run(name: str, *losses: float) -> dict[str, Any]:
    return {
        "contestant": name,
        "median": {"step": 0.5, "first": 2.0},
        "losses": list(losses),
        "versions": {"library": "1.0"},
        "threads": 2,
        "process": {"foreign": 0.0, "peak_kib": 4096},
    }


def training_page(*runs: dict[str, Any]) -> str:
    settings = {"rounds": 1}
    return markdown(
        Training(), {"machine": {}, "settings": settings, "runs": list(runs), "failures": []}
    )


def test_the_peak_of_a_worker_is_in_mib() -> None:
    assert medians([training_run("a", 9.0)])["a"]["peak"] == 4.0


def test_the_training_page_shows_how_the_loss_fell() -> None:
    assert "9.01 → 7.80" in training_page(training_run("a", 9.01, 8.5, 7.8))


def test_who_learns_something_else_is_reported() -> None:
    page = training_page(
        training_run("a", 9.0, 7.8), training_run("b", 9.0, 7.81), training_run("c", 9.0, 8.9)
    )
    assert "**Not the same was learned**: c." in page


def test_a_loss_that_is_no_number_is_reported() -> None:
    page = training_page(
        training_run("a", 9.0, 7.8), training_run("b", 9.0, 7.8), training_run("c", float("nan"))
    )
    assert "**Not the same was learned**: c." in page


def test_who_learns_the_same_is_not() -> None:
    assert "Not the same" not in training_page(
        training_run("a", 9.0, 7.8), training_run("b", 9.0, 7.81)
    )
