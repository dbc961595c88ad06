"""Every override of a backend against the composition that it replaces, values and gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.composed import assemble
from lmkernel.contract.mandatory import MandatoryOps
from lmkernel.parameters import flatten, nest
from lmkernel_conformance.budget import Budget
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.kinds import CALLED, build, called
from lmkernel_conformance.cases.trial import Trial, check_gradients, check_values, weighted
from lmkernel_conformance.cases.tried import trials
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
        "unpack_linear",
    }
)
"""Operations on opaque handles, or with draws of their own: they have cases, but no trial."""


def composed(s: Subject) -> Subject:
    """The same backend with nothing overridden."""
    backend = replace(s.backend, ops=assemble(s.ops, {}), components={})
    return replace(s, backend=backend, records=[])


@case(level="operations", id="overrides.are_tried", dtypes=("float32",))
def are_tried(s: Subject) -> None:
    """No override without a trial of its own, and none of what the contract does not know."""
    covered = set(trials()) | _ELSEWHERE
    s.demand("untried overrides", expected=[], got=sorted(set(s.ops.overridden) - covered))
    for name in MandatoryOps.__abstractmethods__:
        s.demand(f"{name} is callable", expected=True, got=callable(getattr(s.ops, name)))


def _tried(s: Subject) -> list[tuple[str, Trial]]:
    table = trials()
    found = [t for name in sorted(set(s.ops.overridden) & set(table)) for t in table[name]]
    return [(t.cases[0].name, t.make()) for t in found]


@case(level="operations", id="overrides.values")
def values(s: Subject) -> None:
    """Override and composition within the budget of the same reference, and of each other."""
    plain = composed(s)
    for name, made in _tried(s):
        check_values(replace(plain, case=name), made)
        arrays = {**made.inputs, **made.fixed}
        results = [_hosts(x, made.native(x, x.arrays(arrays))) for x in (s, plain)]
        limits = replace(plain, case=name).budgets("value", _no_formula)
        _close(s, name, results[0], results[1], limits)


@case(level="gradients", id="overrides.gradients", training=True)
def gradients(s: Subject) -> None:
    """The same of gradients."""
    plain, differentiable = (
        composed(s),
        {t.cases[0].name for ts in trials().values() for t in ts if len(t.cases) > 1},
    )
    for name, made in _tried(s):
        if name not in differentiable:
            continue
        check_gradients(replace(plain, case=f"{name}.gradient"), made)
        results = [_gradient(x, made) for x in (s, plain)]
        limits = replace(plain, case=f"{name}.gradient").budgets("gradient", _no_formula)
        _close(s, name, results[0], results[1], limits)


def _no_formula(_: Any) -> Any:
    raise AssertionError("the budget was measured before")


def _gradient(s: Subject, made: Trial) -> list[Any]:
    fixed = s.arrays(dict(made.fixed))
    total = lambda t: weighted(s, _several(made.native(s, {**t, **fixed})))  # noqa: E731 - one expression
    _, found = s.ops.value_and_grad(total)(s.arrays(dict(made.inputs)))
    return [s.host(found[name]) for name in made.inputs]


def _several(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (list, tuple)) else [x]


def _hosts(s: Subject, results: Any) -> list[Any]:
    return [s.host(x) for x in _several(results)]


def _close(s: Subject, name: str, got: Any, expected: Any, limits: list[Budget]) -> None:
    """Each within the budget of the reference, so both within twice that of each other."""
    for x, y, limit in zip(got, expected, limits, strict=True):
        both = Budget(np.asarray(y, np.float64), 2 * limit.honest, limit.precision, 2 * limit.floor)
        s.judge(f"{name}, against its composition", x, both)


@case(level="components", id="overrides.components")
def components(s: Subject) -> None:
    """Every component of a backend against the core's own of that kind: same parameters, values."""
    for kind in sorted(s.backend.components):
        if kind not in CALLED:
            raise Discrepancy(f"{s.label}: {kind}: the suite has no inputs for this kind")
        own, plain = build(s, kind), build(composed(s), kind)
        names = list(flatten(plain.declare()))
        s.demand(f"{kind}: parameters", expected=names, got=list(flatten(own.declare())))
        hosts = parameters(f"kind.{kind}", flatten(plain.declare()))
        params = s.arrays(nest(plain.declare(), hosts))
        for i, (x, limit) in enumerate(
            zip(_several(called(s, kind, own, params)), _limits(s, kind, hosts), strict=True)
        ):
            s.judge(f"{kind}, result {i}", s.host(x), limit)


def _limits(s: Subject, kind: str, hosts: dict[str, Any]) -> list[Budget]:
    rounded = s.rounded(hosts)
    return s.budgets(
        kind,
        lambda ar: CALLED[kind].formula(ar, {n: ar.constant(x) for n, x in rounded.items()}),
    )
