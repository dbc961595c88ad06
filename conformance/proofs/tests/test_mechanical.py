"""Mechanical mutants: what is changed, how one is installed and removed, what is left alone."""

from __future__ import annotations

import ast
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.errors import ConfigError
from lmkernel_proofs.mechanical.equivalents import Equivalent, read_equivalents, unmatched_entries
from lmkernel_proofs.mechanical.install import install
from lmkernel_proofs.mechanical.mutators import MUTATORS
from lmkernel_proofs.mechanical.sites import Change, changes, sites
from lmkernel_proofs.mechanical.sources import SOURCES, Source

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.backend import Backend


@pytest.fixture(scope="module")
def mutants() -> dict[str, Change]:
    return {change.id: change for change in changes()}


@pytest.fixture(scope="module")
def backend() -> Backend:
    return load_backend("numpy")


def _mutations(text: str) -> dict[str, list[str]]:
    """What each mutator makes of a function body."""
    body = "\n".join(f"    {line}" for line in text.splitlines())
    tree = ast.parse(f"def f(x, y, ops):\n{body}\n")
    found: dict[str, list[str]] = {}
    for site in sites(Source("own.text"), tree):
        found.setdefault(site.change.mutator, []).append(site.change.after)
    return found


@pytest.mark.parametrize(
    ("text", "mutator", "expected"),
    [
        ("return x + y", "arithmetic", ["x - y"]),
        ("x *= y", "arithmetic", ["x /= y"]),
        ("return x < y", "compare", ["x <= y", "x > y"]),
        ("return x is None", "compare", ["x is not None"]),
        ("return x[3]", "constant", ["4"]),
        ("return x * 0.5", "constant", ["0.505"]),
        ("return x + 1e-6", "constant", ["1e-05"]),
        ("return ops.sum(x, -1)", "constant", ["-2", "0"]),
        ("return ops.sum(x, 0, keepdims=True)", "keyword", ["ops.sum(x, 0)"]),
        ("return ops.sum(x, 0, keepdims=True)", "boolean", ["False"]),
        ("return ops.where(x, y, x[0])", "swap", ["ops.where(x, x[0], y)"]),
        ("return ops.concat([x, y], 1)", "order", ["[y, x]"]),
        ("return ops.permute_dims(x, (0, 2, 1))", "order", ["(2, 0, 1)", "(0, 1, 2)"]),
        ("return x[:y]", "slice", [":y + 1"]),
        ("if x:\n    return y\nreturn x", "condition", ["not x"]),
        ("return -x", "minus", ["x"]),
        ("return ops.minimum(x, y)", "name", ["ops.maximum"]),
        ("return x + y", "term", ["x"]),
        ("ops.exp(x, out=x)", "statement", ["pass"]),
    ],
)
def test_mutator(text: str, mutator: str, expected: list[str]) -> None:
    assert _mutations(text)[mutator] == expected


@pytest.mark.parametrize(
    "text",
    [
        '"""What 1 + 1 is."""',
        "raise ValueError(x + 1)",
        "if x < 1:\n    raise ValueError",
        "assert x > 0",
        "import x.y",
        "del x, y",
        "y: x[1]",
        "return zip(x, y, strict=True)",
        "return ops.reshape(x, (-1,))",
        "return ops.maximum(x, y)[...]",
    ],
)
def test_what_does_not_compute_is_left_alone(text: str) -> None:
    assert {name: y for name, y in _mutations(text).items() if name != "name"} == {}


def test_there_are_enough_of_every_kind(mutants: dict[str, Change]) -> None:
    assert {change.mutator for change in mutants.values()} == set(MUTATORS)
    assert {change.source for change in mutants.values()} == set(SOURCES)
    assert len(mutants) > 1000


def test_names_are_unique_and_stable(mutants: dict[str, Change]) -> None:
    assert Counter(change.id for change in changes()) == Counter(mutants.keys())


def test_nothing_of_the_oracle_is_mutated() -> None:
    assert not [source for source in SOURCES if "conformance" in source.module]


def _find_change(mutants: dict[str, Change], start: str, before: str) -> Change:
    (found,) = itertools.islice(
        (c for c in mutants.values() if c.id.startswith(start) and c.before == before), 1
    )
    return found


def test_a_mutant_is_installed_and_taken_out(mutants: dict[str, Change], backend: Backend) -> None:
    change = _find_change(mutants, "lmkernel_numpy/overrides.py:silu:constant", "1")
    x = np.array([0.5, -2.0])
    right = backend.ops.silu(x)
    with install(change):
        assert backend.ops.silu(x) == pytest.approx(x / (2 + np.exp(-x)))
    assert np.array_equal(backend.ops.silu(x), right)


def test_a_mutant_is_taken_out_after_an_error(mutants: dict[str, Change], backend: Backend) -> None:
    change = _find_change(mutants, "lmkernel_numpy/overrides.py:silu:constant", "1")
    with pytest.raises(ZeroDivisionError), install(change):
        raise ZeroDivisionError
    assert backend.ops.silu(np.zeros(1)) == 0


def test_a_function_made_by_another_runs_the_mutant(
    mutants: dict[str, Change], backend: Backend
) -> None:
    change = _find_change(
        mutants,
        "lmkernel_numpy/overrides.py:_dispatch_on_trace.dispatch:condition",
        "is_traced(*args, options)",
    )
    live: Any = backend.ops.silu
    before = live.__code__
    with install(change):
        assert live.__code__ is not before
    assert live.__code__ is before


def test_a_number_of_a_module_is_changed(mutants: dict[str, Change]) -> None:
    from lmkernel.composed import attention

    change = _find_change(mutants, "composed/attention.py:_HIDDEN:constant", "-1e+30")
    with install(change):
        assert pytest.approx(-1.01e30) == attention._HIDDEN
    assert pytest.approx(-1e30, rel=0) == attention._HIDDEN


def test_a_change_that_is_not_there_is_refused(mutants: dict[str, Change]) -> None:
    from dataclasses import replace

    change = replace(next(iter(mutants.values())), id="lmkernel_numpy/ops.py:nothing:constant.1")
    with pytest.raises(LookupError, match="nothing"), install(change):
        pass


def test_every_equivalent_fits_a_mutant(mutants: dict[str, Change]) -> None:
    assert unmatched_entries(read_equivalents().values(), mutants.values()) == []


def test_an_equivalent_that_fits_no_mutant_is_reported(mutants: dict[str, Change]) -> None:
    first = next(iter(mutants.values()))
    gone, other = Equivalent("no/such.py:f:term.1", "x", "y"), Equivalent(first.id, "x", "y")
    lines = unmatched_entries([gone, other], mutants.values())
    assert lines[0] == "no/such.py:f:term.1: there is no such mutant"
    assert lines[1].startswith(f"{first.id}: expected 'x', got")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[[equivalent]]\nproof = ""\nmutants = {a = "x"}\n', "a proof"),
        ('[[equivalent]]\nproof = "p"\n', "expected mutants"),
        (
            '[[equivalent]]\nproof = "p"\nmutants = {a = "x"}\n' * 2,
            "a is there twice",
        ),
    ],
)
def test_a_file_of_equivalents_says_what_it_lacks(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "equivalents.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=what):
        read_equivalents(path)
