"""The law of the budgets: no single element of a right result may be anything else.

For every case and dtype, a right result with one element moved by more than its budget is refused.
Doubling or zeroing is more than that, wherever what the formula leaves of its terms is a number
rather than their rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel_conformance.cases import CASES, items
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.levels import levels_of
from lmkernel_conformance.runner import attempt
from lmkernel_conformance.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel_conformance.budget import Budget

Key = tuple[str, str, str]
SLOW = ("training/curve.", "training/programs", "training/adam_update.")
SAMPLE = 2
"""How many elements of each result are changed, one at a time."""
MOST, MOST_OF_A_RESULT = 1 / 1000, 1 / 2
"""Which share of the elements may be rounding alone, in all and of one comparison.

The gradients of the biases of keys are zero but for rounding; a saturated softmax, tanh or GELU has
gradients that are differences of nearly equal numbers.
"""
NORMAL = 1024
"""So many times the smallest normal number does not come of terms that were flushed to zero."""
LOST = 2.0**14
"""Elements that float32 cannot tell from zero lose more than so many units in float64 too."""


@pytest.fixture(
    scope="module", params=[4, pytest.param(1, marks=pytest.mark.whole)], ids="one in {}".format
)
def limits(request: pytest.FixtureRequest) -> dict[Key, list[Budget]]:
    """The budgets of the suite's comparisons, of some of the cases or of all."""
    cases = list(CASES.values())[:: request.param]
    s = Subject(backend=load_backend("numpy"))
    declared = s.backend.capabilities.dtypes
    levels = levels_of(distributes=False)
    for item in items(cases, profile="full", levels=levels, declared=declared):
        if not f"{item.case.level}/{item.case.name}".startswith(SLOW):
            assert attempt(s, item).error is None
    return s.known


def _every(limits: dict[Key, list[Budget]]) -> Iterator[tuple[Key, int, Budget]]:
    for key, several in limits.items():
        for i, limit in enumerate(several):
            if limit.reference.size:
                yield key, i, limit


def _rounding_alone(limit: Budget) -> np.ndarray:
    """Which normal elements could be doubled or zeroed."""
    size = np.abs(limit.reference)
    normal = np.isfinite(size) & (size > NORMAL * limit.precision.tiny)
    return normal & (limit.allowed > size / 2)


def _changed(limit: Budget, at: int, value: float) -> np.ndarray:
    flat = limit.reference.copy().ravel()
    flat[at] = value
    return flat.reshape(limit.reference.shape)


def _refuses(limit: Budget, got: np.ndarray) -> bool:
    try:
        limit.judge("x", got)
    except Discrepancy:
        return True
    return False


def test_a_right_result_is_accepted_and_any_element_moved_beyond_its_budget_is_refused(
    limits: dict[Key, list[Budget]],
) -> None:
    for key, i, limit in _every(limits):
        assert limit.judge("x", limit.reference).share == 0
        flat, allowed = limit.reference.ravel(), limit.allowed.ravel()
        units = 2 * limit.precision.ulp(np.where(np.isfinite(flat), flat, 0))
        for at in _places(key, i, flat.size):
            if np.isfinite(flat[at]):
                more = max(1.02 * allowed[at], allowed[at] + units[at])
                assert _refuses(limit, _changed(limit, at, flat[at] + more)), key
                assert _refuses(limit, _changed(limit, at, flat[at] - more)), key
                assert not _refuses(limit, _changed(limit, at, flat[at] + allowed[at] / 2)), key
            for wrong in (np.nan, np.inf, -np.inf):
                same = flat[at] == wrong or (np.isnan(flat[at]) and np.isnan(wrong))
                assert _refuses(limit, _changed(limit, at, wrong)) != same, key


def test_any_element_doubled_or_zeroed_is_refused(limits: dict[Key, list[Budget]]) -> None:
    for key, i, limit in _every(limits):
        flat, alone = limit.reference.ravel(), _rounding_alone(limit).ravel()
        for at in _places(key, i, flat.size):
            normal = np.isfinite(flat[at]) and abs(flat[at]) > NORMAL * limit.precision.tiny
            if normal and not alone[at]:
                assert _refuses(limit, _changed(limit, at, 2 * flat[at])), key
                assert _refuses(limit, _changed(limit, at, 0.0)), key


def _places(key: Key, i: int, size: int) -> list[int]:
    """The elements that are changed: a few, other ones in each result."""
    seed = sum(map(ord, "".join(key))) + i
    return np.random.default_rng(seed).permutation(size)[:SAMPLE].tolist()  # type: ignore[no-any-return]  # of NumPy


def test_few_elements_are_rounding_alone(limits: dict[Key, list[Budget]]) -> None:
    counts = {
        key: (sum(int(_rounding_alone(x).sum()) for x in xs), sum(x.reference.size for x in xs))
        for key, xs in limits.items()
    }
    alone, size = (sum(count[i] for count in counts.values()) for i in (0, 1))
    assert size > 100_000
    assert 0 < alone < MOST * size
    assert [key for key, (few, of) in counts.items() if few > MOST_OF_A_RESULT * of] == []


def test_what_is_rounding_alone_in_float32_has_lost_its_digits_in_float64_too(
    limits: dict[Key, list[Budget]],
) -> None:
    """Cancellation is the formula's, so it shows in either dtype; a lax budget would not."""
    seen = 0
    for (case, dtype, what), i, limit in _every(limits):
        wide = limits.get((case, "float64", what))
        if dtype == "float32" and wide is not None and (alone := _rounding_alone(limit)).any():
            lost = LOST * wide[i].precision.ulp(wide[i].reference[alone])
            assert (wide[i].honest[alone] > lost).all(), (case, what)
            seen += int(alone.sum())
    assert seen > 20
