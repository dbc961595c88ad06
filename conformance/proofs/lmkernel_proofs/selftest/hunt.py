"""Runs cases on something broken, each within a limit, and tells a discrepancy from an accident.

Constraints: a discrepancy is believed if what was expected is what is expected still, or else if
it is there with budgets measured anew: a defect of the core may reach what expected values are
made of. Warnings are nothing here.
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

__all__ = ["TooLongError", "failure", "quiet"]

_LEAST, _TIMES = 2.0, 10.0


class TooLongError(Exception):
    """A case took many times as long as on a correct backend."""


def failure(
    subject: Subject, item: Item, usual: float, *, sure: bool = False
) -> BaseException | None:
    """What an item raises on a broken backend, or None.

    Args:
        subject: whose known budgets are those of correct backends; they are not changed.
        item: what is run.
        usual: how long it takes on a correct backend, in seconds.
        sure: whether what is broken cannot reach what is expected.
    """
    limit = max(_LEAST, usual * _TIMES)
    own = replace(subject, known=dict(subject.known))
    error = _limited(own, item, limit)
    if sure or not isinstance(error, Discrepancy):
        return error
    with mock.patch.object(Subject, "budgets", _checked):
        error = _limited(own, item, limit * _TIMES)
    if isinstance(error, _OtherReferenceError):
        return _limited(replace(subject, known={}), item, limit * _TIMES)
    return error


class _OtherReferenceError(Exception):
    """What is expected is not what was expected of correct backends."""


_measured = Subject.budgets


def _checked(self: Subject, what: str, formula: Callable[[Arithmetic], Any]) -> list[Budget]:
    """The known budgets, if their references are still those of the formula."""
    limits = _measured(self, what, formula)
    references = formula(Arithmetic())
    several = references if isinstance(references, (list, tuple)) else [references]
    pairs = zip(limits, several, strict=True)
    if not all(np.array_equal(x.reference, y, equal_nan=True) for x, y in pairs):
        raise _OtherReferenceError(what)
    return limits


def _limited(subject: Subject, item: Item, seconds: float) -> BaseException | None:
    with _alarm(seconds):
        return attempt(subject, item).error
    return TooLongError(f"more than {seconds:.3g} seconds")


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise within the block once it has used the processor for so long."""

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
    """No warning of NumPy's or anybody's is shown or raised."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
