"""How far a result may be from its reference: measured on honest implementations, never guessed.

An honest implementation is NumPy evaluating the same formula in the precision under test. It is run
in 16 orders of summation; a backend may be off by four times the largest error seen, plus a floor
of four units in the last place.

Constraints: the budget belongs to the case. No backend has a say in it, and it does not grow with
the size of an array. NaN and infinity must stand exactly where the reference has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.numerics import FACTOR, FLOOR_ULPS
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.oracle.arithmetic import Arithmetic

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel_conformance.precision import Precision

__all__ = ["FACTOR", "FLOOR_ULPS", "ORDERS", "Budget", "Measurement", "budgets"]

Host = Any

ORDERS = 16
"""How many orders of summation are tried: half sum one by one, half pairwise as NumPy does."""


@final
@dataclass(frozen=True)
class Measurement:
    """The error of one result, at its worst element.

    Args:
        ulps: the error, in units in the last place of the reference.
        share: the part of the budget that it uses; above 1 it is a discrepancy.
    """

    ulps: float
    share: float


@final
@dataclass(frozen=True)
class Budget:
    """The correct result, and the error that is allowed.

    Args:
        reference: the correct result, in float64.
        honest: the largest absolute error of an honest implementation.
        precision: the format of the result.
        floor: the units in the last place that are allowed whatever was measured.
    """

    reference: Host
    honest: float
    precision: Precision
    floor: float = FLOOR_ULPS

    def judge(self, what: str, got: Host) -> Measurement:
        """Measure ``got``; raise `Discrepancy` where it is outside the budget."""
        want = np.asarray(self.reference)
        if np.shape(got) != want.shape:
            raise Discrepancy(f"{what}: expected the shape {want.shape}, got {np.shape(got)}")
        # Compare in float64: subtracting in the format under test would round the error itself.
        got = np.asarray(got, np.float64)
        error = self._errors(got, want)
        ulp = self.precision.ulp(np.where(np.isfinite(want), want, 0.0))
        # The honest error is one number for the whole array, its largest. Measured element by
        # element it would be zero wherever the honest runs happened to round correctly. The floor
        # is taken per element, and never below the smallest normal number: hardware may flush what
        # is smaller to zero, and that is no mistake of a backend.
        allowed = FACTOR * self.honest + np.maximum(self.floor * ulp, self.precision.tiny)
        with np.errstate(over="ignore"):  # where next to nothing is allowed
            shares, units = error / allowed, error / ulp
        if not want.size:
            return Measurement(0.0, 0.0)
        worst = np.unravel_index(int(np.argmax(shares)), want.shape)
        measurement = Measurement(float(units[worst]), float(shares[worst]))
        # "not <=" rather than ">": a NaN share compares false with everything, and must fail.
        if not measurement.share <= 1:
            exact = self.honest == self.floor == 0
            raise Discrepancy(
                _sentence(what, got[worst], want[worst], worst, None if exact else measurement),
                measurement,
            )
        return measurement

    @staticmethod
    def _errors(got: Host, want: Host) -> Host:
        """Absolute errors; infinite where only one side is NaN, or infinities differ."""
        # Equal infinities and paired NaNs are agreement, though their difference is NaN.
        same = (got == want) | (np.isnan(got) & np.isnan(want))
        with np.errstate(invalid="ignore"):
            error = np.abs(got - want)
        error = np.where(np.isfinite(error), error, np.inf)
        return np.where(same, 0.0, error)


def _sentence(
    what: str, got: float, want: float, where: Any, measurement: Measurement | None
) -> str:
    place = ", ".join(str(int(i)) for i in where)
    text = f"{what}: expected {want:.17g}, got {got:.17g} at [{place}]"
    if measurement is None:
        return f"{text}, where both must be equal"
    ulps, share = measurement.ulps, measurement.share
    return f"{text}: {ulps:.4g} units in the last place, {share:.4g} of the budget"


def budgets(formula: Callable[[Arithmetic], list[Host]], precision: Precision) -> list[Budget]:
    """Measure the budget of each result of a formula.

    Args:
        formula: evaluates the case on an `Arithmetic`; gives one array for each result.
        precision: the format under test.
    """
    references = [np.asarray(y, np.float64) for y in formula(Arithmetic())]
    worst = [0.0] * len(references)
    rounding = precision.round if precision.narrow else None
    # Order 0 is NumPy's own and is the reference's; the honest runs start at 1, so that float64,
    # which is judged against itself, shows an error too.
    with np.errstate(under="ignore"):
        for order in range(1, ORDERS + 1):
            results = formula(Arithmetic(precision.compute, order, rounding))
            for i, (y, want) in enumerate(zip(results, references, strict=True)):
                # A backend stores its result in the format, so the honest result is rounded to it.
                error = np.abs(np.asarray(precision.round(y), np.float64) - want)
                worst[i] = max(worst[i], float(np.max(error, initial=0.0)))
    return [Budget(r, e, precision) for r, e in zip(references, worst, strict=True)]
