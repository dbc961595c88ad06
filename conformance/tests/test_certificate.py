"""The certificate: its verdict follows from its content."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from made_certificates import change_row, made_certificate, row_of

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_same_run_has_the_same_certificate() -> None:
    assert made_certificate() == made_certificate()
    assert made_certificate()["verdict"] == "certified"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: a["cases"].pop(0), "document/.*: did not run"),
        (lambda a: a["cases"].append(a["cases"][0]), "is there 2 times"),
        (
            change_row("operations/softmax", case="operations/softmux"),
            "the manifest has no such case",
        ),
        (
            change_row("operations/softmax", case="operations/softmux"),
            "operations/softmax.*did not run",
        ),
        (change_row("operations/erf", share=1.5), "share of the budget between 0 and 1, got 1.5"),
        (
            change_row("operations/erf", share=None),
            "share of the budget between 0 and 1, got None",
        ),
        (
            change_row("operations/erf", shares={"large": 0.25, "zero": 7.0}),
            "share of the budget of zero elements between 0 and 1, got 7.0",
        ),
        (
            change_row("operations/erf", shares={"large": 0.75}),
            "expected the largest share of any class, 0.75, got 0.25",
        ),
        (
            change_row("operations/erf", shares={"middling": 0.25}),
            "expected classes of elements among large, small, sensitive, zero, got middling",
        ),
        (change_row("operations/erf", state="skipped"), "skipped: without a message"),
        (change_row("operations/erf", state="failed", message="wrong"), "failed: wrong"),
        (
            change_row("operations/erf", state="unsupported", operation="erf"),
            "erf is not declared",
        ),
        (change_row("operations/erf", state="known failure"), "no entry matches it"),
        (change_row("operations/erf", state="not offered"), "not offered: expected of level"),
        (
            lambda a: (
                a["backend"].update(distributes=True),
                row_of(a, "distribution/places").update(state="not offered"),
            ),
            "not offered: expected of level distribution, on a backend without that tier",
        ),
        (lambda a: a.update(cases=[]), "no case was run"),
        (
            lambda a: a["backend"].update(dtypes=["float32"]),
            "float64: mandatory on cpu, not declared",
        ),
        (lambda a: a["fresh"].update(failures=["operations/erf: 0"]), "fresh seed 7: operations"),
        (lambda a: a["fresh"].update(cases=0), "no case was run with fresh inputs"),
        (lambda a: a.update(manifest="0" * 64), "expected the manifest .*, got 000000000000"),
        (lambda a: a.update(problems=["matches nothing"]), "matches nothing"),
    ],
)
def test_what_is_not_certified(change: Callable[[dict[str, Any]], None], reason: str) -> None:
    certificate = made_certificate(change)
    assert certificate["verdict"] == "not certified"
    assert any(re.search(reason, why) for why in certificate["reasons"])


def test_a_known_failure_expires() -> None:
    failing = change_row("operations/softmax", state="known failure", message="wrong")
    assert made_certificate(failing)["verdict"] == "certified"

    def later(about: dict[str, Any]) -> None:
        failing(about)
        about["issued"] = "2030-07-01"

    assert made_certificate(later)["verdict"] == "not certified"


def test_several_processes_are_asked_of_backends_that_offer_them_alone() -> None:
    assert made_certificate(change_row("distribution/places", state="not offered"))["reasons"] == []


def test_a_part_of_the_suite_is_no_certificate() -> None:
    def part(about: dict[str, Any]) -> None:
        about.update(selection="smoke", cases=about["cases"][:5])

    assert made_certificate(part)["verdict"] == "passed in part"


def test_that_nothing_was_run_is_no_reason_beside_the_problem_that_it_follows_from() -> None:
    def change(about: dict[str, Any]) -> None:
        about.update(cases=[], problems=["it cannot be loaded"])
        about["fresh"].update(cases=0)

    certificate = made_certificate(change)
    assert certificate["reasons"] == ["it cannot be loaded"]
    assert certificate["verdict"] == "not certified"
