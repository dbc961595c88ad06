"""Failures of one cause are one group, the telling one first."""

from __future__ import annotations

from lmkernel_conformance.certificate.causes import group_failures


def _row(case: str, message: str = "expected 1, got 2") -> dict[str, str]:
    return {"case": case, "dtype": "float32", "message": message}


def test_m12_one_clipped_softmax_is_one_operation_and_what_is_built_on_it() -> None:
    rows = [
        _row("models/llama.forward"),
        _row("operations/compiled.elementwise"),
        _row("operations/softmax.large_logits"),
        _row("gradients/softmax.gradient"),
        _row("operations/overrides.values", "softmax, against its composition: expected 1, got 2"),
        _row("operations/softmax.axis"),
    ]
    groups = [[row["case"] for row in group] for group in group_failures(rows)]
    assert groups == [
        ["operations/overrides.values"],
        ["operations/softmax.large_logits", "operations/softmax.axis"],
        ["operations/compiled.elementwise"],
        ["gradients/softmax.gradient", "models/llama.forward"],
    ]


def test_m12_failures_that_one_line_raises_are_one_group_at_every_level() -> None:
    rows = [
        _row("models/llama.forward", "TypeError at ops.py:12 in take(x (2, 3)): no int64"),
        _row("operations/take", "TypeError at ops.py:12 in take(x (4,)): no int64"),
        _row("operations/erf"),
    ]
    first, second = group_failures(rows)
    assert [row["case"] for row in first] == ["operations/take", "models/llama.forward"]
    assert [row["case"] for row in second] == ["operations/erf"]


def test_without_failures_there_are_no_groups() -> None:
    assert group_failures([]) == []
