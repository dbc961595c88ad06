"""The tutorial's worked examples and their companions, each as a case."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import Case
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.tutorial.computations import compute, define
from lmkernel_conformance.tutorial.examples import EXAMPLES, Example

if TYPE_CHECKING:
    from lmkernel_conformance.budget import Budget
    from lmkernel_conformance.subject import Subject

__all__ = ["EXAMPLE_CASES", "judge_each_way"]


def _limit(s: Subject, example: Example) -> Budget:
    """The budget of the example's formula, around its correct value."""
    limits = s.budgets(example.id, lambda ar: define(ar, example.computation, example.inputs))
    return replace(limits[0], reference=np.asarray(example.correct, np.float64))


def _values(s: Subject, example: Example) -> dict[str, Any]:
    """The backend's results on the host, by each way to compute them."""
    found = compute(s, example.computation, example.inputs)
    return {way: s.host(x) for way, x in found.items()}


def check(s: Subject, example: Example) -> None:
    """Judge every way to compute an example."""
    limit = _limit(s, example)
    for way, x in _values(s, example).items():
        s.judge(f"{example.formula} {way}".strip(), x, limit)


def judge_each_way(s: Subject, example: Example) -> list[tuple[str, Any, bool]]:
    """Each way to compute an example, its value, and whether that is within the budget."""
    limit, found = _limit(s, example), []
    for way, x in _values(s, example).items():
        try:
            limit.judge(example.id, x)
        except Discrepancy:
            found.append((way, x, False))
        else:
            found.append((way, x, True))
    return found


def _case(example: Example) -> Case:
    return Case(
        level="document",
        name=example.id,
        run=lambda s: check(s, example),
        doc=f"{example.formula}, section {example.section or 'none: our own'}",
    )


EXAMPLE_CASES = tuple(_case(example) for example in EXAMPLES)
