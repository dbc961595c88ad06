"""The argument of every case: one backend in one precision, with the means to judge its results."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.contract.trees import tree_map
from lmkernel.factory import ComponentFactory
from lmkernel_conformance.budget import MORE_ORDERS, ORDERS, Budget, budgets
from lmkernel_conformance.discrepancy import demand
from lmkernel_conformance.kept import KeptErrors, kept_errors
from lmkernel_conformance.precision import PRECISIONS, Precision
from lmkernel_conformance.together.processes import in_processes

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.backend import Backend
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel_conformance.budget import Measurement
    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["Record", "Subject"]

Host = Any
_SINGLE = ("operations/", "gradients/")
"""The levels of single operations."""


@final
@dataclass(frozen=True)
class Record:
    """What one comparison used of its budget.

    Args:
        what: the name of what was compared.
        measurement: the error at its worst element.
    """

    what: str
    measurement: Measurement


@final
@dataclass(frozen=True, kw_only=True)
class Subject:
    """A backend under test.

    Args:
        backend: the backend, as `lmkernel.load_backend` gives it.
        dtype: the floating dtype of this run.
        case: the name of the case that runs; budgets are kept under it.
        known: the budgets measured so far, shared by all runs, since they belong to the cases.
        records: the comparisons of this run, in order.
        kept: the honest errors that need no measuring.
        together: runs a program of the level ``distribution`` in two processes of the backend.
    """

    backend: Backend
    dtype: str = "float32"
    case: str = ""
    known: dict[tuple[str, str, str], list[Budget]] = field(default_factory=dict, repr=False)
    records: list[Record] = field(default_factory=list, repr=False)
    kept: KeptErrors = field(default_factory=kept_errors, repr=False)
    together: Callable[[Backend, str, str], list[dict[str, Host]]] = field(
        default=in_processes, repr=False
    )

    @property
    def ops(self) -> Ops:
        """The backend's operations."""
        return self.backend.ops

    @property
    def factory(self) -> ComponentFactory:
        """A factory of components on the backend."""
        return ComponentFactory(self.backend)

    @property
    def precision(self) -> Precision:
        """The format of this run."""
        return PRECISIONS[self.dtype]

    def with_ops(self, ops: Ops) -> Subject:
        """A copy of this subject with other operations."""
        return replace(self, backend=replace(self.backend, ops=ops))

    # transfer

    def array(self, host: Host) -> Array:
        """Place a host array: floats in the run's dtype, integers as int32, masks as bool."""
        x = np.asarray(host)
        if x.dtype.kind == "f":
            return self.ops.asarray(self.precision.round(x), self.dtype)  # type: ignore[arg-type]  # declared by the backend
        return self.ops.asarray(x, "bool" if x.dtype.kind == "b" else "int32")

    def arrays(self, tree: Tree) -> Tree:
        """Place every leaf of a tree on the backend."""
        return tree_map(self.array, tree)

    def host(self, x: Array) -> Host:
        """Copy an array to the host, as a NumPy array."""
        return np.asarray(self.ops.to_numpy(x))

    def round(self, tree: Tree) -> Tree:
        """Round the floats of a host tree to this run's dtype; integers and masks stay as they are.

        The oracle must start from the numbers that the backend sees, not from those before.
        """
        return tree_map(lambda x: self.precision.round(x) if _floating(x) else x, tree)

    def constant(self, value: float) -> Array:
        """A 0-d array in this run's dtype."""
        return self.ops.full((), value, self.dtype)  # type: ignore[arg-type]  # declared by the backend

    # judgement

    def agree(
        self, what: str, got: Array, formula: Callable[[Arithmetic], Host], dtype: str | None = None
    ) -> None:
        """Judge one result, or several, by the oracle's formula.

        Args:
            what: the name of what is compared.
            got: the backend's result, or a list of them.
            formula: the same computation on an `Arithmetic`, with as many results.
            dtype: the dtype that the results must have; by default the run's.

        Raises:
            Discrepancy: a result is outside its budget, or has another shape or dtype.
        """
        results = list(got) if isinstance(got, (list, tuple)) else [got]
        limits = self.budgets(what, formula)
        demand(f"{what}: number of results", expected=len(limits), got=len(results))
        for i, (x, limit) in enumerate(zip(results, limits, strict=True)):
            name = what if len(results) == 1 else f"{what}, result {i}"
            demand(f"{name}: dtype", expected=dtype or self.dtype, got=self.ops.dtype(x))
            self.judge(name, self.host(x), limit)

    def judge(self, what: str, got: Host, limit: Budget) -> None:
        """Judge a host array by a budget, and record what it used of it."""
        self.records.append(Record(what, limit.judge(f"{self.label}: {what}", got)))

    def equal(self, what: str, got: Array, expected: Host, dtype: str | None = None) -> None:
        """Demand equality bit for bit, but for the sign of zero."""
        want = np.asarray(expected)
        if dtype is not None:
            demand(f"{self.label}: {what}: dtype", expected=dtype, got=self.ops.dtype(got))
        host = self.host(got) if not isinstance(got, np.ndarray) else got
        exact = Budget(np.asarray(want, np.float64), 0.0, PRECISIONS["float64"], floor=0.0)
        self.judge(what, np.asarray(host, np.float64), exact)

    def demand(self, what: str, *, expected: object, got: object) -> None:
        """Demand that two Python values are equal."""
        demand(f"{self.label}: {what}", expected=expected, got=got)

    def budgets(self, what: str, formula: Callable[[Arithmetic], Host]) -> list[Budget]:
        """The budgets of a formula's results, measured once for each case and dtype."""
        key = (self.case, self.dtype, what)
        if key not in self.known:
            find = functools.partial(self.kept.find, key)
            # In 16 bits four units in the last place are much, and errors are not kept.
            single = self.case.startswith(_SINGLE) and not self.precision.narrow
            most = MORE_ORDERS if single else ORDERS
            self.known[key] = budgets(lambda ar: _several(formula(ar)), self.precision, find, most)
        return self.known[key]

    @property
    def label(self) -> str:
        """The case and its dtype, for messages."""
        return f"{self.case}[{self.dtype}]"


def _floating(x: Host) -> bool:
    return bool(np.asarray(x).dtype.kind == "f")


def _several(results: Host) -> list[Host]:
    return list(results) if isinstance(results, (list, tuple)) else [results]
