"""The allowed error of a result: measured on honest implementations, never guessed.

Constraints: allowed = 4 × the largest error over 16 orders of summation that NumPy makes with the
same formula in the same precision, plus a floor of 4 units in the last place, which starts at the
smallest normal number. It belongs to the case; no backend has a say in it, and it does not grow
with the size of an array. NaN and infinity must be where the reference has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.oracle.arithmetic import Arithmetic

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel_conformance.precision import Precision

__all__ = ["FACTOR", "FLOOR_ULPS", "ORDERS", "Budget", "Measured", "budgets"]

Host = Any

FACTOR = 4.0
ORDERS = 16
FLOOR_ULPS = 4.0


@final
@dataclass(frozen=True)
class Measured:
    """How far one result is from its reference, at its worst element.

    Args:
        ulps: in units in the last place of the reference.
        share: of the budget; above 1 it is a discrepancy.
    """

    ulps: float
    share: float


@final
@dataclass(frozen=True)
class Budget:
    """What one result should be, and how far it may be from it.

    Args:
        reference: float64.
        honest: the largest absolute error of an honest implementation.
        precision: the format of the result.
        floor: in units in the last place.
    """

    reference: Host
    honest: float
    precision: Precision
    floor: float = FLOOR_ULPS

    def judge(self, what: str, got: Host) -> Measured:
        """Measure ``got``; raise `Discrepancy` where it is outside the budget."""
        want = np.asarray(self.reference)
        if np.shape(got) != want.shape:
            raise Discrepancy(f"{what}: expected the shape {want.shape}, got {np.shape(got)}")
        got = np.asarray(got, np.float64)
        error = self._errors(got, want)
        ulp = self.precision.ulp(np.where(np.isfinite(want), want, 0.0))
        allowed = FACTOR * self.honest + np.maximum(self.floor * ulp, self.precision.tiny)
        with np.errstate(over="ignore"):  # an exact budget allows next to nothing
            shares, units = error / allowed, error / ulp
        if not want.size:
            return Measured(0.0, 0.0)
        worst = np.unravel_index(int(np.argmax(shares)), want.shape)
        found = Measured(float(units[worst]), float(shares[worst]))
        if not found.share <= 1:
            exact = self.honest == self.floor == 0
            raise Discrepancy(
                _sentence(what, got[worst], want[worst], worst, None if exact else found), found
            )
        return found

    @staticmethod
    def _errors(got: Host, want: Host) -> Host:
        """Absolute errors; infinite where one is NaN or infinite and the other differs."""
        same = (got == want) | (np.isnan(got) & np.isnan(want))
        with np.errstate(invalid="ignore"):
            error = np.abs(got - want)
        error = np.where(np.isfinite(error), error, np.inf)
        return np.where(same, 0.0, error)


def _sentence(what: str, got: float, want: float, where: Any, found: Measured | None) -> str:
    place = ", ".join(str(int(i)) for i in where)
    text = f"{what}: expected {want:.17g}, got {got:.17g} at [{place}]"
    if found is None:
        return f"{text}, where both must be equal"
    return f"{text}: {found.ulps:.4g} units in the last place, {found.share:.4g} of the budget"


def budgets(formula: Callable[[Arithmetic], list[Host]], precision: Precision) -> list[Budget]:
    """The budget of each result of ``formula``."""
    references = [np.asarray(y, np.float64) for y in formula(Arithmetic())]
    worst = [0.0] * len(references)
    rounding = precision.round if precision.narrow else None
    with np.errstate(under="ignore"):
        for order in range(1, ORDERS + 1):
            results = formula(Arithmetic(precision.compute, order, rounding))
            for i, (y, want) in enumerate(zip(results, references, strict=True)):
                error = np.abs(np.asarray(precision.round(y), np.float64) - want)
                worst[i] = max(worst[i], float(np.max(error, initial=0.0)))
    return [Budget(r, e, precision) for r, e in zip(references, worst, strict=True)]
