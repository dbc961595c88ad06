"""The set of cases, and which of them run in which profile."""

from __future__ import annotations

import pytest

from lmkernel.composed import COMPOSED
from lmkernel_conformance.cases import CASES, LEVELS, case, items
from lmkernel_conformance.cases.by_operation import trials_by_operation
from lmkernel_conformance.cases.overrides import _ELSEWHERE

BOTH = ("float32", "float64")


def _ids(profile: str, declared: tuple[str, ...] = BOTH) -> set[str]:
    found = items(CASES.values(), profile=profile, levels=LEVELS, declared=declared)
    return {f"{item.case.level}/{item.id}" for item in found}


def test_inference_takes_no_gradients() -> None:
    assert not any(
        ".gradient" in name or name.startswith("gradients/") for name in _ids("inference")
    )


def test_training_leaves_out_generation_and_files() -> None:
    levels = {name.partition("/")[0] for name in _ids("training")}
    assert levels == set(LEVELS) - {"generation", "checkpoints"}


def test_full_is_all_of_it() -> None:
    assert _ids("full") == _ids("inference") | _ids("training")
    assert {name.partition("/")[0] for name in _ids("full")} == set(LEVELS)


def test_sixteen_bits_run_where_they_are_declared() -> None:
    assert not any(name.endswith("float16") for name in _ids("full"))
    assert any(name.endswith("-bfloat16") for name in _ids("full", (*BOTH, "bfloat16")))


def test_every_optional_operation_is_exercised() -> None:
    assert set(COMPOSED) == set(trials_by_operation()) | _ELSEWHERE


def test_every_case_says_what_it_checks() -> None:
    assert [name for name, one in CASES.items() if not one.doc] == []


def test_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a level among document"):
        case(level="operation", id="x")(lambda _: None)
