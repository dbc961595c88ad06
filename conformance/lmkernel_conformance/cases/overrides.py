"""Every override of a backend against the composition that it replaces: values, gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.composed import assemble
from lmkernel.contract.mandatory import MandatoryOps
from lmkernel.parameters import flatten, nest
from lmkernel_conformance.budget import Budget
from lmkernel_conformance.cases.by_operation import trials_by_operation
from lmkernel_conformance.cases.case import Case, case
from lmkernel_conformance.cases.kinds import CALLS, build_component, call_component
from lmkernel_conformance.cases.trial import (
    Trial,
    TrialCases,
    check_gradients,
    check_values,
    weighted_sum,
)
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.inputs import parameters

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

_ELSEWHERE = frozenset(
    {
        "cache_append",
        "cache_attend",
        "cache_create",
        "cache_grow",
        "dropout",
        "one_hot",
        "remat",
        "unpack_bits",
        "unpack_linear",
    }
)
"""Operations on opaque handles or with random draws; they have cases of their own, but no trial."""


def without_overrides(s: Subject) -> Subject:
    """The backend with every override replaced by the composition."""
    backend = replace(s.backend, ops=assemble(s.ops, {}), components={})
    return replace(s, backend=backend, records=[])


@case(level="operations", id="overrides.are_tried", dtypes=("float32",))
def are_tried(s: Subject) -> None:
    """Every override has a trial, and overrides an operation of the contract."""
    covered = set(trials_by_operation()) | _ELSEWHERE
    s.demand("untried overrides", expected=[], got=sorted(set(s.ops.overridden) - covered))
    for name in MandatoryOps.__abstractmethods__:
        s.demand(f"{name} is callable", expected=True, got=callable(getattr(s.ops, name)))


def _override_trials(s: Subject) -> list[TrialCases]:
    table = trials_by_operation()
    return [t for name in sorted(set(s.ops.overridden) & set(table)) for t in table[name]]


@case(level="operations", id="overrides.values")
def values(s: Subject) -> None:
    """Override and composition are within the budget of one reference, and close to each other."""
    plain = without_overrides(s)
    for found in _override_trials(s):
        one, own = found.make(), _as_case(plain, found.cases[0])
        check_values(own, one)
        arrays = {**one.inputs, **one.fixed}
        results = [_hosts(x, one.native(x, x.arrays(arrays))) for x in (s, plain)]
        _check_close(s, own.case, results[0], results[1], own.budgets("value", _no_formula))


@case(level="gradients", id="overrides.gradients", training=True)
def gradients(s: Subject) -> None:
    """The gradients of override and composition, in the same way."""
    plain = without_overrides(s)
    for found in _override_trials(s):
        if len(found.cases) == 1:
            continue
        one, own = found.make(), _as_case(plain, found.cases[1])
        check_gradients(own, one)
        results = [_gradient(x, one) for x in (s, plain)]
        _check_close(s, own.case, results[0], results[1], own.budgets("gradient", _no_formula))


def _as_case(s: Subject, one: Case) -> Subject:
    """The subject of another case, whose budgets it shares."""
    return replace(s, case=f"{one.level}/{one.name}")


def _no_formula(_: Any) -> Any:
    raise AssertionError("the budget was measured before")


def _gradient(s: Subject, one: Trial) -> list[Any]:
    fixed = s.arrays(dict(one.fixed))
    total = lambda t: weighted_sum(s, _several(one.native(s, {**t, **fixed})))  # noqa: E731 - one expression
    _, found = s.ops.value_and_grad(total)(s.arrays(dict(one.inputs)))
    return [s.host(found[name]) for name in one.inputs]


def _several(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (list, tuple)) else [x]


def _hosts(s: Subject, results: Any) -> list[Any]:
    return [s.host(x) for x in _several(results)]


def _check_close(s: Subject, name: str, got: Any, expected: Any, limits: list[Budget]) -> None:
    """Judge results by others: both are within a budget of the reference, so two budgets apart."""
    for x, y, limit in zip(got, expected, limits, strict=True):
        both = Budget(np.asarray(y, np.float64), 2 * limit.honest, limit.precision, 2 * limit.floor)
        s.judge(f"{name}, against its composition", x, both)


@case(level="components", id="overrides.components")
def components(s: Subject) -> None:
    """Every component of a backend has the parameters of the core's own, and agrees with it."""
    for kind in sorted(s.backend.components):
        if kind not in CALLS:
            raise Discrepancy(f"{s.label}: {kind}: the suite has no inputs for this kind")
        own, plain = build_component(s, kind), build_component(without_overrides(s), kind)
        names = list(flatten(plain.declare()))
        s.demand(f"{kind}: parameters", expected=names, got=list(flatten(own.declare())))
        hosts = parameters(f"kind.{kind}", flatten(plain.declare()))
        params = s.arrays(nest(plain.declare(), hosts))
        for i, (x, limit) in enumerate(
            zip(
                _several(call_component(s, kind, own, params)), _limits(s, kind, hosts), strict=True
            )
        ):
            s.judge(f"{kind}, result {i}", s.host(x), limit)


def _limits(s: Subject, kind: str, hosts: dict[str, Any]) -> list[Budget]:
    rounded = s.round(hosts)
    return s.budgets(
        kind,
        lambda ar: CALLS[kind].formula(ar, {n: ar.constant(x) for n, x in rounded.items()}),
    )
