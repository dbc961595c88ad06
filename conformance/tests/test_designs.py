"""Designs: rows cover what they say, layouts hold the same numbers, extents vary when fresh."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel_conformance.cases import CASES
from lmkernel_conformance.cases.layouts import place, settle
from lmkernel_conformance.cases.trial import Trial, check_gradients, check_values
from lmkernel_conformance.certificate.covered import covered
from lmkernel_conformance.designs import DESIGNS, Design, Rule, read_rows
from lmkernel_conformance.designs.tables import LAYOUTS
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.manifest import read_manifest
from lmkernel_conformance.subject import Subject

Host = Any


@pytest.mark.parametrize("name", DESIGNS)
def test_all_combinations_meet_in_some_row(name: str) -> None:
    design = DESIGNS[name]
    rows = read_rows(design)
    assert design.uncovered(rows) == []
    assert all(rule.holds(row) for row in rows for rule in design.rules)


def test_a_missing_row_is_noticed() -> None:
    design = Design(name="d", factors={"a": (1, 2), "b": (3, 4)})
    rows = [{"a": a, "b": b} for a in (1, 2) for b in (3, 4)]
    assert design.uncovered(rows) == []
    assert design.uncovered(rows[:3]) == [(("a", 2), ("b", 4))]


def test_what_a_rule_forbids_is_not_asked_for() -> None:
    rule = Rule(("a", "b"), lambda a, b: a < b)
    design = Design(name="d", factors={"a": (1, 2), "b": (2, 3), "c": (0, 1)}, rules=(rule,))
    asked = list(design.combinations())
    assert (("a", 2), ("b", 2)) not in asked
    assert (("a", 2), ("c", 0)) in asked


def test_rows_of_other_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="other factors in linear; run: python -m"):
        read_rows(Design(name="linear", factors={"inner": (1, 2)}))


def test_each_row_is_a_case_of_the_manifest() -> None:
    cases = read_manifest().cases
    for name, design in DESIGNS.items():
        for number in range(len(read_rows(design))):
            level = "components" if name == "stack" else "operations"
            about = cases[f"{level}/design.{name}.{number:03d}"]
            assert (about["design"], about["fresh"]) == (name, level == "operations")


def test_a_case_says_what_it_tries() -> None:
    case = CASES["operations/design.linear.000"]
    assert case.tried == read_rows(DESIGNS["linear"])[0]
    assert "inner 1" in case.doc


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 5), ()])
def test_a_layout_holds_the_numbers(layout: str, shape: tuple[int, ...]) -> None:
    s = Subject(backend=load_backend("numpy"))
    for host in (np.arange(np.prod(shape)).reshape(shape), np.full(shape, 0.5) * 3):
        want = settle(host.astype(np.float32) if host.dtype.kind == "f" else host, layout)
        np.testing.assert_array_equal(s.host(place(s, want, layout)), want)


def test_permuted_slices_and_broadcasts_are_views() -> None:
    s, x = Subject(backend=load_backend("numpy")), np.ones((3, 4), np.float32)
    for layout in ("permuted", "sliced", "broadcast"):
        assert not place(s, x, layout).flags.c_contiguous


def _doubling(native: Any) -> Trial:
    return Trial(
        inputs={"x": np.array([1.0, -2.0])}, native=native, formula=lambda _, t: t["x"] * 2
    )


def test_a_formula_that_writes_to_its_argument_is_found() -> None:
    def in_place(_: Any, t: dict[str, Any]) -> Any:
        y = t["x"] * np.float32(2)
        t["x"][...] = 0
        return y

    s = Subject(backend=load_backend("numpy"))
    with pytest.raises(Discrepancy, match="argument x after the call"):
        check_values(s, _doubling(in_place))


def test_an_argument_that_is_consumed_may_be_written_to() -> None:
    def in_place(_: Any, t: dict[str, Any]) -> Any:
        t["x"] *= np.float32(2)
        return t["x"]

    s = Subject(backend=load_backend("numpy"))
    trial = _doubling(in_place)
    check_values(
        s, Trial(inputs=trial.inputs, native=in_place, formula=trial.formula, consumed=("x",))
    )


def test_a_gradient_that_is_written_over_its_argument_is_found() -> None:
    s = Subject(backend=load_backend("numpy"))
    plain = s.ops.value_and_grad

    def value_and_grad(f: Any) -> Any:
        def call(tree: Any) -> Any:
            value, g = plain(f)(tree)
            tree["x"][...] = g["x"]
            return value, g

        return call

    trial = _doubling(lambda _, t: t["x"] + t["x"])
    broken = s.with_ops(_With(s.ops, value_and_grad))  # type: ignore[arg-type]  # operations, one replaced
    with pytest.raises(Discrepancy, match="argument x after the call"):
        check_gradients(broken, trial)


class _With:
    """Operations with another `value_and_grad`."""

    def __init__(self, ops: Any, value_and_grad: Any) -> None:
        self._ops, self.value_and_grad = ops, value_and_grad

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ops, name)


def test_fresh_inputs_have_other_extents() -> None:
    program = (
        "from lmkernel_conformance.inputs import extent;"
        "print([extent(str(i), 10) for i in range(20)])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        env={"LMKERNEL_CONFORMANCE_SEED": "5", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    extents = {int(word) for word in said.strip("[]\n ").split(",")}
    assert extents == {10, 11, 12, 13}


def test_the_page_counts_the_combinations_that_passed() -> None:
    manifest, design = read_manifest(), DESIGNS["cells"]
    cases = [
        {"case": f"operations/design.cells.{i:03d}", "state": "passed", "level": "operations"}
        for i in range(len(read_rows(design)))
    ]
    wanted = len(list(design.combinations()))
    whole = covered({"cases": cases}, manifest)
    assert f"cells: {wanted} of {wanted} combinations" in whole
    assert "1, 5, 31, 32, 33, 64, 128, 256" in whole
    cases[0]["state"] = "failed"
    assert f"cells: {wanted} of {wanted} combinations" not in covered({"cases": cases}, manifest)
    assert covered({"cases": []}, manifest) == ""
