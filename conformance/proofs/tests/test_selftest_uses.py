"""A handwritten mutant runs the cases that use what it replaces, and no others."""

from __future__ import annotations

import contextlib

import pytest

from lmkernel.backend import load_backend
from lmkernel.interfaces import Embedding
from lmkernel_conformance.cases import CASES
from lmkernel_proofs.mutants import MUTANTS
from lmkernel_proofs.mutants.mutant import (
    Mutant,
    Patch,
    component,
    mandatory,
    narrow,
    optional,
)
from lmkernel_proofs.selftest.baseline import Baseline, measure_baseline
from lmkernel_proofs.selftest.bases import Run, runs
from lmkernel_proofs.selftest.handwritten import judge_mutant
from lmkernel_proofs.selftest.uses import ALL, note_calls, note_uses

_CASES = (
    "operations/silu",
    "operations/gelu",
    "operations/swiglu",
    "operations/overrides.are_tried",
    "components/embedding.scale",
    _NORMED := "components/kind.attention.multi_head.normed",
)


@pytest.fixture(scope="module")
def few() -> Baseline:
    """A suite of a few cases on the reference backend."""
    assert CASES.keys() >= set(_CASES)
    chosen = [run for run in runs() if run.case in _CASES and run.base == "reference"]
    return measure_baseline(2, lambda _: None, chosen)


def _run(case: str) -> Run:
    return Run("reference", case, "float32")


def test_what_a_case_calls_is_noted_and_what_that_calls_as_well() -> None:
    used: set[str] = set()
    noting = note_uses(load_backend("numpy"), used)
    with noting:
        x = noting.ops.asarray([1.0], "float32")
        assert used == {"asarray"}
        noting.ops.relu(x)
    assert {"relu", "where"} <= used, "the composition of relu calls where"
    assert "exp" not in used
    assert ALL not in used


def test_looking_a_component_up_is_noted() -> None:
    used: set[str] = set()
    noting = note_uses(load_backend("numpy"), used)
    assert noting.components.get("embedding:token") is None
    assert used == {"embedding:token"}


def test_looking_through_all_that_is_overridden_is_noted() -> None:
    used: set[str] = set()
    noting = note_uses(load_backend("numpy"), used)
    assert set(noting.ops.overridden)
    assert ALL in used


def test_cases_that_use_a_name_are_reached(few: Baseline) -> None:
    silu = frozenset({"silu"})
    assert few.may_use(_run("operations/silu"), silu)
    assert not few.may_use(_run("operations/gelu"), silu)
    assert few.may_use(_run("operations/overrides.are_tried"), silu), "it looks through all"
    assert few.may_use(_run("components/embedding.scale"), frozenset({"embedding:token"}))


def test_a_case_that_was_not_measured_may_use_anything(few: Baseline) -> None:
    assert few.may_use(_run("operations/exp"), frozenset({"silu"}))


def test_mutants_say_what_they_replace_unless_it_may_lie_elsewhere() -> None:
    def named(**about: object) -> frozenset[str] | None:
        return Mutant(id="own", level="operations", **about).replaces  # type: ignore[arg-type]  # as named

    make = optional("silu", lambda ops, x: ops.sigmoid(x))
    assert named(make=make) == {"silu"}
    assert named(make=mandatory("exp", lambda ops, x: ops.exp(x))) == {"exp"}
    assert named(make=component("embedding:token", Embedding)) == {"embedding:token"}
    where = "lmkernel.generation.sampling.draw"
    assert named(patch=Patch(where, float)) == {where}
    assert named(make=lambda backend: backend) is None
    assert named(make=make, base=narrow()) is None
    assert named(make=make, patch=contextlib.ExitStack) is None
    assert named(make=make, patch=Patch(where, float)) is None
    assert named(patch=contextlib.ExitStack) is None


@pytest.mark.parametrize("broken", [list, property(list)], ids=["method", "property"])
def test_calls_of_what_is_patched_are_noted(
    broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"{Embedding.__module__}.{Embedding.__qualname__}.noted"
    monkeypatch.setattr(Embedding, "noted", broken, raising=False)
    used: set[str] = set()
    with note_calls([where], used):
        assert used == set()
        read = Embedding.noted.fget if isinstance(broken, property) else Embedding.noted  # type: ignore[attr-defined]  # put there above
        assert read("ab") == ["a", "b"]
    assert used == {where}
    assert Embedding.noted is broken  # type: ignore[attr-defined]  # the same


def test_cases_that_call_what_is_patched_are_reached(few: Baseline) -> None:
    where = frozenset({"lmkernel.components.attention.normalize"})
    assert not few.may_use(_run("operations/silu"), where)
    assert few.may_use(_run(_NORMED), where)


def test_every_mutant_names_what_it_replaces_but_a_few() -> None:
    silent = {mutant.id for mutant in MUTANTS if mutant.replaces is None}
    assert silent == {
        "embedding.scale_rounded",
        "muon.four_rounds",
        "batch.declared",
        "decoding.declared",
    }


def test_a_mutant_fails_the_same_cases_where_all_run(
    few: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mutant,) = [mutant for mutant in MUTANTS if mutant.id == "gelu.by_tanh"]
    wanted = {run for run in few.measurements if run.case in _CASES}
    monkeypatch.setattr("lmkernel_proofs.selftest.handwritten._runs", lambda _: sorted(wanted))
    found, ran = judge_mutant(few, mutant, full=False)
    monkeypatch.setattr(Baseline, "may_use", lambda *_: True)
    expected, all_ran = judge_mutant(few, mutant, full=False)
    assert [f.run for f in found] == [f.run for f in expected]
    assert ran < all_ran
