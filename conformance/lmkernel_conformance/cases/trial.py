"""A trial: one formula on a backend and on the oracle, compared by value and by gradient.

The decorator `trial` makes cases of it. The gradient of a trial at level ``operations`` is a case
at level ``gradients``; that of a component or a model stays at the trial's level.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_conformance.cases.case import Case
from lmkernel_conformance.cases.layouts import place
from lmkernel_conformance.inputs import normal
from lmkernel_conformance.oracle.tape import gradient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel_conformance.oracle.arithmetic import Arithmetic
    from lmkernel_conformance.subject import Subject

__all__ = ["Trial", "TrialCases", "check_gradients", "check_values", "trial", "weighted_sum"]

Host = Any


@final
@dataclass(frozen=True, kw_only=True)
class Trial:
    """One formula, written once for the backend and once for the oracle.

    Args:
        inputs: the host arrays of floats, by name; gradients are taken of all of them.
        native: the formula on the backend, ``f(subject, arrays) -> array``, or several.
        formula: the formula on the oracle, ``f(arithmetic, arrays) -> array``, or several.
        fixed: further host arrays of any dtype, of which no gradient is taken.
        layout: how the arrays of more than one element lie in memory.
        consumed: the names of arrays that the formula on the backend may write to.
    """

    inputs: Mapping[str, Host]
    native: Callable[[Subject, dict[str, Array]], Tree]
    formula: Callable[[Arithmetic, dict[str, Host]], Tree]
    fixed: Mapping[str, Host] = field(default_factory=dict)
    layout: str = "plain"
    consumed: tuple[str, ...] = ()

    def place(self, s: Subject, hosts: Mapping[str, Host]) -> dict[str, Array]:
        """Some of the arrays on the backend, in the layout of this trial."""
        return {name: place(s, s.round(np.asarray(x)), self.layout) for name, x in hosts.items()}


@final
@dataclass(frozen=True)
class TrialCases:
    """The cases of a trial.

    Args:
        op: the operation that the trial exercises, or empty.
        make: the function that makes the trial.
        cases: the case of its value, and that of its gradients unless there are none.
    """

    op: str
    make: Callable[[], Trial]
    cases: tuple[Case, ...]


def trial(
    *,
    id: str,  # noqa: A002 - the word that pytest uses
    op: str = "",
    level: str = "operations",
    rows: tuple[int, ...] = (),
    dtypes: tuple[str, ...] = ("float32", "float64"),
    gradients: bool = True,
) -> Callable[[Callable[[], Trial]], TrialCases]:
    """Make cases of a function that gives a `Trial`: one of its value, one of its gradients.

    Args:
        id: the name of the case; the gradients' has ``.gradient`` appended.
        op: the operation that the trial exercises.
        level: the level of the value's case.
        rows: the rows of the catalogue that the cases are made to catch.
        dtypes: the floating dtypes that they run in.
        gradients: whether there is a case of the gradients.
    """

    def make_cases(make: Callable[[], Trial]) -> TrialCases:
        doc = (make.__doc__ or "").strip()

        def make_case(level: str, name: str, check: Callable[[Subject, Trial], None]) -> Case:
            return Case(
                level=level,
                name=name,
                run=lambda s: check(s, make()),
                rows=rows,
                dtypes=dtypes,
                training=check is check_gradients,
                doc=doc,
            )

        found = [make_case(level, id, check_values)]
        if gradients:
            higher = "gradients" if level == "operations" else level
            found.append(make_case(higher, f"{id}.gradient", check_gradients))
        return TrialCases(op, make, tuple(found))

    return make_cases


def check_values(s: Subject, t: Trial) -> None:
    """Judge the value of a trial; its dtype must be that of the inputs."""
    hosts = s.round({**t.inputs, **t.fixed})
    arrays = t.place(s, hosts)
    got = t.native(s, dict(arrays))
    for y in _several(got):
        _write_to_copy(s, y)
    s.agree("value", got, lambda ar: t.formula(ar, _cast(ar, hosts)))
    _check_unchanged(s, t, hosts, arrays)


def check_gradients(s: Subject, t: Trial, *, compiled: bool = False) -> None:
    """Judge the gradient of every input of a trial; its dtype must be the input's."""
    floats, fixed = s.round(dict(t.inputs)), s.round(dict(t.fixed))
    native, leaves = t.place(s, t.fixed), t.place(s, t.inputs)
    names = list(floats)

    def honest(ar: Arithmetic) -> list[Host]:
        known = _cast(ar, fixed)

        def f(x: dict[str, Host]) -> list[Host]:
            return _several(t.formula(ar, {**x, **known}))

        inputs = _cast(ar, floats)
        shapes = [_shape(y) for y in f(inputs)]
        found = gradient(ar, f, inputs, [ar.constant(p) for p in _probes(s, shapes)])
        return [found[name] for name in names]

    def total(x: dict[str, Array]) -> Array:
        return weighted_sum(s, _several(t.native(s, {**x, **native})))

    differentiated = s.ops.value_and_grad(total)
    if compiled:
        differentiated = s.ops.compile(differentiated)
    _, got = differentiated(dict(leaves))
    limits = s.budgets("gradient", honest)
    for name, limit in zip(names, limits, strict=True):
        s.demand(f"gradient of {name}: dtype", expected=s.dtype, got=s.ops.dtype(got[name]))
        s.judge(f"gradient of {name}", s.host(got[name]), limit)
    _check_unchanged(s, t, {**floats, **fixed}, {**leaves, **native})


def _write_to_copy(s: Subject, y: Array) -> None:
    """Write to what `to_numpy` gives, which is a copy: the result itself must not change."""
    s.ops.to_numpy(y)[...] = 1


def _check_unchanged(
    s: Subject, t: Trial, hosts: Mapping[str, Host], arrays: Mapping[str, Array]
) -> None:
    """Demand that a call has left its arguments as they were, bit for bit."""
    for name, x in arrays.items():
        if name not in t.consumed:
            s.equal(f"argument {name} after the call", x, hosts[name])


def weighted_sum(s: Subject, outputs: list[Array]) -> Array:
    """Σ probe · output over all outputs, as a 0-d array.

    The probe weighs every element differently, so that mistakes in two of them cannot cancel.
    """
    ops = s.ops
    probes = [s.array(p) for p in _probes(s, [tuple(y.shape) for y in outputs])]
    sums = [ops.sum(ops.reshape(y * p, (-1,)), 0) for y, p in zip(outputs, probes, strict=True)]
    total = sums[0]
    for more in sums[1:]:
        total = total + more
    return total


def _probes(s: Subject, shapes: list[tuple[int, ...]]) -> list[Host]:
    found = []
    for i, shape in enumerate(shapes):
        whole = tuple(int(extent) for extent in shape)
        found.append(s.precision.round(normal(f"probe.{i}", *whole)))
    return found


def _shape(y: Host) -> tuple[int, ...]:
    shape: tuple[int, ...] = y.shape
    return shape


def _cast(ar: Arithmetic, hosts: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Host]:
    """Floats in the arithmetic's precision, everything else as it is."""
    return {n: ar.constant(x) if x.dtype.kind == "f" else x for n, x in hosts.items()}


def _several(results: Any) -> list[Any]:
    return list(results) if isinstance(results, (list, tuple)) else [results]
