"""Runs one case on a broken backend, within a time limit, and says what it raised.

Constraints: a defect of the core may reach the code that expected values are made with. So a
discrepancy counts only if the reference values are still those of correct backends, or else if it
remains after the budgets are measured again. Warnings do not count.
"""

from __future__ import annotations

import contextlib
import signal
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.oracle.arithmetic import Arithmetic
from lmkernel_conformance.runner import attempt
from lmkernel_conformance.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel_conformance.budget import Budget
    from lmkernel_conformance.cases import Item

__all__ = ["failure", "quiet"]

_LEAST, _TIMES = 2.0, 10.0
"""A case may take this many seconds, or this many times as long as on a correct backend."""


class TooLongError(Exception):
    """A case takes many times as long as on a correct backend."""


def failure(
    subject: Subject, item: Item, usual: float, *, sure: bool = False
) -> BaseException | None:
    """The error that a case raises on a broken backend, or None.

    Args:
        subject: broken backend, with the budgets of correct ones, which are not changed.
        item: case and dtype to run.
        usual: seconds that it takes on a correct backend.
        sure: whether the defect cannot reach the expected values.
    """
    limit = max(_LEAST, usual * _TIMES)
    own = replace(subject, known=dict(subject.known))
    error = _run_within(own, item, limit)
    if sure or not isinstance(error, Discrepancy):
        return error
    # Known budgets save most of a case's time, but hold the references of correct backends. Before
    # a kill is believed, the case's own formula must give the same references once more.
    with mock.patch.object(Subject, "budgets", _budgets_if_same):
        error = _run_within(own, item, limit * _TIMES)
    # The defect moves the references too: only budgets measured with it can tell whether backend
    # and oracle still disagree.
    if isinstance(error, _OtherReferenceError):
        return _run_within(replace(subject, known={}), item, limit * _TIMES)
    return error


class _OtherReferenceError(Exception):
    """The reference values are no longer those of correct backends."""


_plain_budgets = Subject.budgets


def _budgets_if_same(
    self: Subject, what: str, formula: Callable[[Arithmetic], Any]
) -> list[Budget]:
    """The known budgets, if their references are still those of the formula."""
    limits = _plain_budgets(self, what, formula)
    references = formula(Arithmetic())
    several = references if isinstance(references, (list, tuple)) else [references]
    pairs = zip(limits, several, strict=True)
    if not all(np.array_equal(x.reference, y, equal_nan=True) for x, y in pairs):
        raise _OtherReferenceError(what)
    return limits


def _run_within(subject: Subject, item: Item, seconds: float) -> BaseException | None:
    with _alarm(seconds):
        return attempt(subject, item).error
    return TooLongError(f"more than {seconds:.3g} seconds")


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise `TooLongError` in the block once it has used that much processor time.

    Processor time, because several children share the cores and the clock would punish them.
    """

    def ring(*_: Any) -> None:
        raise TooLongError(f"more than {seconds:.3g} seconds of the processor")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence NumPy's warnings and everybody else's."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
