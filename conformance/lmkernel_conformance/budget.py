"""How far each element of a result may be from its reference: measured, never guessed.

An honest implementation is NumPy evaluating the same formula in the precision under test. It runs
16 times, a single operation on many elements, of which some would meet 16 lucky runs, 48 times:
summands come in another order, every operation rounds another way, and where libraries
use two formulas it takes one or the other (`lmkernel_conformance.oracle.arithmetic`). A backend may
be off, at each element, by four times the largest error seen at that element, plus a floor of four
of its units in the last place. So an element is allowed much only where an honest error is large:
where terms cancel, or a function is steep.

Constraints: the budget belongs to the case. No backend has a say in it, and it does not grow with
the size of an array, nor with the other elements. NaN and infinity must stand exactly where the
reference has them. Below the smallest normal number hardware may flush to zero, so twice as much is
allowed everywhere: a zero must be zero or nearly subnormal.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.numerics import FACTOR, FLOOR_ULPS
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.oracle.arithmetic import Arithmetic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lmkernel_conformance.precision import Precision

__all__ = [
    "CLASSES",
    "FACTOR",
    "FLOOR_ULPS",
    "MORE_ORDERS",
    "ORDERS",
    "Budget",
    "Measurement",
    "budgets",
    "honest_arithmetic",
    "largest_shares",
    "measure_errors",
]

Host = Any

ORDERS = 16
"""How many honest runs are made: half sum one by one, half pairwise as NumPy does."""
MORE_ORDERS, _MANY = 48, 512
"""So many honest runs are made of a single operation that has more elements than the second."""


CLASSES = ("large", "small", "sensitive", "zero")
"""The classes of elements, each of which is judged as strictly as the others.

Sensitive: an honest error is more than 64 units in the last place, since terms cancel or a function
is steep. Zero: below the smallest normal number. Large: within a thousandth of the array's largest.
Small: the rest.
"""
_SENSITIVE_ULPS, _SMALL = 64.0, 1e-3


@final
@dataclass(frozen=True)
class Measurement:
    """The error of one result, at its worst element.

    Args:
        ulps: the error, in units in the last place of the reference.
        share: the part of the element's budget that it uses; above 1 it is a discrepancy.
        shares: the largest share among the elements of each of `CLASSES` that the result has.
    """

    ulps: float
    share: float
    shares: Mapping[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class Budget:
    """The correct result, and the error that is allowed at each of its elements.

    Args:
        reference: the correct result, in float64.
        honest: the largest absolute error of honest implementations at each element; one number
            stands for all.
        precision: the format of the result.
        floor: the units in the last place of an element that are allowed whatever was measured.
    """

    reference: Host
    honest: Host
    precision: Precision
    floor: float = FLOOR_ULPS

    @property
    def allowed(self) -> Host:
        """The error that is allowed at each element."""
        # The floor is never below twice the smallest normal number: hardware may flush what is
        # smaller to zero, before it is scaled by a half or after, and a backend cannot help it.
        units = self.floor * self.precision.ulp(_finite(self.reference))
        return FACTOR * np.asarray(self.honest) + np.maximum(units, 2 * self.precision.tiny)

    def at(self, index: Any) -> Budget:
        """The budget of some of the elements, chosen as NumPy does."""
        want = np.asarray(self.reference)
        honest = np.broadcast_to(self.honest, want.shape)
        return replace(self, reference=want[index], honest=honest[index])

    def judge(self, what: str, got: Host) -> Measurement:
        """Measure ``got``; raise `Discrepancy` where it is outside the budget."""
        want = np.asarray(self.reference)
        if np.shape(got) != want.shape:
            raise Discrepancy(f"{what}: expected the shape {want.shape}, got {np.shape(got)}")
        if not want.size:
            return Measurement(0.0, 0.0)
        # Compare in float64: subtracting in the format under test would round the error itself.
        got = np.asarray(got, np.float64)
        error, ulp = _errors(got, want), self.precision.ulp(_finite(want))
        with np.errstate(over="ignore"):  # where next to nothing is allowed
            shares, units = error / self.allowed, error / ulp
        worst = np.unravel_index(int(np.argmax(shares)), want.shape)
        by_class = {
            name: float(np.max(shares[chosen])) for name, chosen in self._classes(ulp).items()
        }
        measurement = Measurement(float(units[worst]), float(shares[worst]), by_class)
        # "not <=" rather than ">": a NaN share compares false with everything, and must fail.
        if not measurement.share <= 1:
            exact = self.floor == 0 and not np.any(self.honest)
            raise Discrepancy(
                _sentence(what, got[worst], want[worst], worst, None if exact else measurement),
                measurement,
            )
        return measurement

    def _classes(self, ulp: Host) -> dict[str, Host]:
        """Which elements belong to each of `CLASSES`; a class without elements is left out."""
        size = np.abs(_finite(self.reference))
        zero = size < self.precision.tiny
        sensitive = ~zero & (np.asarray(self.honest) > _SENSITIVE_ULPS * ulp)
        large = ~zero & ~sensitive & (size >= _SMALL * size.max())
        found = {
            "large": large,
            "small": ~(zero | sensitive | large),
            "sensitive": sensitive,
            "zero": zero,
        }
        return {name: chosen for name, chosen in found.items() if chosen.any()}


def largest_shares(measurements: Iterable[Measurement]) -> dict[str, float]:
    """The largest share of each of `CLASSES` in several results; one without any is left out."""
    found: dict[str, float] = {}
    for measurement in measurements:
        for name, share in measurement.shares.items():
            found[name] = max(found.get(name, 0.0), share)
    return {name: found[name] for name in CLASSES if name in found}


def _finite(want: Host) -> Host:
    """The reference, with zeros where it is not finite."""
    return np.where(np.isfinite(want), want, 0.0)


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


def budgets(
    formula: Callable[[Arithmetic], list[Host]],
    precision: Precision,
    find: Callable[[list[Host]], list[Host] | None] = lambda _: None,
    most: int = ORDERS,
) -> list[Budget]:
    """The budget of each result of a formula.

    Args:
        formula: evaluates the case on an `Arithmetic`; gives one array for each result.
        precision: the format under test.
        find: the honest errors if they were measured before, from the references.
        most: the number of honest runs where there are many elements.
    """
    references = [np.asarray(y, np.float64) for y in formula(Arithmetic())]
    many = sum(want.size for want in references) > _MANY
    orders = most if many else ORDERS
    errors = find(references) or measure_errors(formula, precision, references, orders)
    return [Budget(r, e, precision) for r, e in zip(references, errors, strict=True)]


def measure_errors(
    formula: Callable[[Arithmetic], list[Host]],
    precision: Precision,
    references: list[Host],
    orders: int = ORDERS,
) -> list[Host]:
    """The largest error of the honest runs, at each element of each result."""
    worst = [np.zeros(want.shape) for want in references]
    # Order 0 is NumPy's own and is the reference's; the honest runs start at 1, so that float64,
    # which is judged against itself, shows an error too.
    with np.errstate(under="ignore"):
        for order in range(1, orders + 1):
            results = formula(honest_arithmetic(precision, order))
            for y, want, most in zip(results, references, worst, strict=True):
                # A backend stores its result in the format, so the honest result is rounded to it.
                error = _errors(np.asarray(precision.round(y), np.float64), want)
                np.maximum(most, error, out=most)
    return worst


def honest_arithmetic(precision: Precision, order: int) -> Arithmetic:
    """The arithmetic of one honest run, from 1."""
    if not precision.narrow:
        return Arithmetic(precision.compute, order)
    return Arithmetic(precision.compute, order, precision.round, 2.0 ** (1 - precision.digits))
