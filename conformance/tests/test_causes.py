"""Failures of one cause are one group, the telling one first."""

from __future__ import annotations

from typing import Any

import pytest

from lmkernel_conformance.catalogue import COMPILED, DEFECTS
from lmkernel_conformance.certificate.causes import group_failures
from lmkernel_conformance.certificate.failures import failed_rows, hints, reproducing
from lmkernel_conformance.certificate.page import page
from lmkernel_conformance.certificate.summary import summary

BESIDE = "operations/softmax, against its composition: expected 1, got 2"
COMPILED_SOFTMAX = "softmax[float32]: value: expected 1, got 2"
SOFTMAX_DESIGNED = "operations/design.along.002"
EXP_DESIGNED = "operations/design.elements.000"


def _row(case: str, message: str = "expected 1, got 2", **more: Any) -> dict[str, Any]:
    return {"case": case, "dtype": "float32", "message": message, **more}


def _cases(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [[row["case"] for row in group] for group in group_failures(rows)]


def test_m12_one_clipped_softmax_is_one_operation_and_what_is_built_on_it() -> None:
    rows = [
        _row("models/llama.forward"),
        _row("document/loss"),
        _row("operations/compiled.elementwise", COMPILED_SOFTMAX),
        _row("operations/softmax", seed=7),
        _row("operations/softmax.large_logits"),
        _row("gradients/softmax.gradient"),
        _row("operations/overrides.values", BESIDE),
        _row(SOFTMAX_DESIGNED),
        _row("operations/special.softmax"),
    ]
    assert _cases(rows) == [
        [
            "operations/overrides.values",
            "operations/softmax.large_logits",
            SOFTMAX_DESIGNED,
            "operations/special.softmax",
            "operations/softmax",
            "operations/compiled.elementwise",
        ],
        ["document/loss", "gradients/softmax.gradient", "models/llama.forward"],
    ]


def test_rows_of_designs_belong_to_the_operation_of_their_row_or_to_their_design() -> None:
    rows = [_row(SOFTMAX_DESIGNED), _row("operations/design.cells.000"), _row(EXP_DESIGNED)]
    rows += [_row("operations/design.cells.001"), _row("operations/exp")]
    assert _cases(rows) == [
        [SOFTMAX_DESIGNED],
        ["operations/design.cells.000", "operations/design.cells.001"],
        [EXP_DESIGNED, "operations/exp"],
    ]


@pytest.mark.parametrize(
    ("others", "hinted"),
    [
        ([], True),
        ([_row("operations/softmax")], False),
        ([_row("operations/softmax", seed=7)], False),
        ([_row("operations/gelu")], True),
    ],
)
def test_compiling_is_likely_only_where_the_eager_result_is_right(
    others: list[dict[str, Any]], hinted: bool
) -> None:
    compiled = _row("operations/compiled.elementwise", COMPILED_SOFTMAX)
    [group] = [group for group in group_failures([compiled, *others]) if compiled in group]
    assert (DEFECTS[COMPILED] in hints(compiled, group)) == hinted


def _certificate(*rows: dict[str, Any], fresh: list[str]) -> dict[str, Any]:
    """A certificate against which these rows and failures with fresh inputs stand."""
    about = {"level": "operations", "state": "failed", "share": None, "shares": {}, "ulps": None}
    backend = {"name": "clip", "device": "cpu", "dtypes": [], "bitwise": [], "distributions": {}}
    whys = [f"{row['case']}[float32]: failed: {row['message']}" for row in rows]
    return {
        **dict.fromkeys(("issued", "precision", "suite", "contract", "manifest", "sha256"), ""),
        "backend": backend,
        "profile": "inference",
        "selection": "levels operations",
        "verdict": "not certified",
        "cases": [{**about, **row} for row in rows],
        "fresh": {"seed": 7, "cases": 9, "failures": fresh},
        "next": "",
        "problems": [],
        "reasons": [*(f"with the fresh seed 7: {line}" for line in fresh), *whys],
    }


@pytest.mark.parametrize(
    ("message", "hinted"), [("expected 1, got 2", True), ("TypeError at a.py:3: no", False)]
)
def test_what_raised_is_no_wrong_number(message: str, hinted: bool) -> None:
    row = _row("operations/softmax.large_logits.last", message)
    assert bool(hints(row, [row])) == hinted


def test_failures_with_fresh_inputs_are_told_with_their_operation() -> None:
    fresh = [f"operations/softmax[float32]: value: expected 1, got {got}" for got in range(2)]
    rows = [_row("operations/softmax"), _row("operations/overrides.values", BESIDE)]
    certificate = _certificate(*rows, fresh=[*fresh, "without a case"])
    lines = summary(certificate).splitlines()[2:]
    assert lines[:2] == [
        "with the fresh seed 7: without a case",
        f"operations/overrides.values[float32]: failed: {BESIDE}",
    ]
    assert lines[3:] == [
        "    and 3 more, perhaps of this cause: operations/softmax",
        "clip is not certified for the profile inference: 5 reasons",
    ]
    text = page(certificate)
    assert text.count("<li>") == 1
    assert text.index("overrides.values <small>") < text.index("and 3 more, perhaps of this cause")
    assert text.count("float32, failed with the fresh seed 7</small>") == 2


def test_a_failure_with_fresh_inputs_alone_says_what_repeats_it() -> None:
    certificate = _certificate(fresh=["operations/softmax[float32]: value: expected 1, got 2"])
    [row] = failed_rows(certificate)
    assert row["why"] == certificate["reasons"][0]
    assert reproducing("clip", row) == (
        "python -m lmkernel_conformance.reproduce operations/softmax --backend clip "
        "--dtype float32 --seed 7"
    )


def test_m12_failures_that_one_line_raises_are_one_group_at_every_level() -> None:
    rows = [
        _row("models/llama.forward", "TypeError at ops.py:12 in take(x (2, 3)): no int64"),
        _row("operations/take", "TypeError at ops.py:12 in take(x (4,)): no int64"),
        _row("operations/erf"),
    ]
    first, second = group_failures(rows)
    assert [row["case"] for row in first] == ["operations/take", "models/llama.forward"]
    assert [row["case"] for row in second] == ["operations/erf"]


def test_arrays_of_a_framework_that_is_not_named_are_one_group_at_every_level() -> None:
    said = "expected an array of numpy, as requires of its specification says, got paddle.Tensor"
    rows = [_row("operations/exp", said), _row("models/llama.forward", said)]
    rows += [_row("operations/sqrt", said, seed=3), _row("operations/sqrt")]
    assert _cases(rows) == [
        ["operations/exp", "operations/sqrt", "models/llama.forward"],
        ["operations/sqrt"],
    ]


def test_without_failures_there_are_no_groups() -> None:
    assert group_failures([]) == []
