"""The framework's random numbers, which are keyed and uniform, and dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.inputs import normal

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any


@case(level="operations", id="random_uniform")
def random_uniform(s: Subject) -> None:
    """Equal for equal keys, different for others, in [0, 1), with the moments of a uniform."""
    ops: Any = s.ops
    keys = [(1, 2), (2, 1), (1, 3), (0, 0), (2**31 - 1, 2**31 - 1)]
    draws = [s.host(ops.random_uniform(_key(s, k), (64, 63), s.dtype)) for k in keys]
    again = s.host(ops.random_uniform(_key(s, keys[0]), (64, 63), s.dtype))
    s.equal("the same key", again, draws[0])
    for key, x in zip(keys, draws, strict=True):
        s.demand(f"{key}: dtype", expected=s.dtype, got=str(x.dtype))
        _uniform(s, f"key {key}", x)
    for i, j in ((0, 1), (0, 2), (1, 2), (2, 3)):
        shared = float(np.mean(draws[i] == draws[j]))
        if shared > 0.01:  # noqa: PLR2004 - 64·63 independent draws share next to none
            raise Discrepancy(f"{s.label}: keys {keys[i]} and {keys[j]}: {shared:.2%} equal draws")


def _key(s: Subject, key: tuple[int, int]) -> Any:
    return s.ops.asarray(key, "int32")


def _uniform(s: Subject, what: str, x: Host) -> None:
    """Bounds, mean and variance, within six standard errors."""
    s.demand(f"{what}: in [0, 1)", expected=True, got=bool((x >= 0).all() and (x < 1).all()))
    deviation, n = np.asarray(x, np.float64) - 0.5, x.size
    mean, variance = float(deviation.mean()), float((deviation**2).mean())
    if abs(mean) > 6 / np.sqrt(12 * n) or abs(variance - 1 / 12) > 6 / np.sqrt(180 * n):
        raise Discrepancy(f"{s.label}: {what}: mean {mean + 0.5:.4f}, variance {variance:.4f}")


@case(level="operations", id="dropout")
def dropout(s: Subject) -> None:
    """A share of zeros, the rest divided by 1 - rate; the same for one key, others for another."""
    x = s.round(normal("dropout", 60, 50, shift=3))
    rate, ops = 0.25, s.ops
    got = [s.host(ops.dropout(s.array(x), _key(s, k), rate)) for k in ((5, 1), (5, 1), (5, 2))]
    s.equal("the same key", got[1], got[0])
    zeros = float(np.mean(got[0] == 0))
    spread = 6 * np.sqrt(rate * (1 - rate) / x.size)
    if abs(zeros - rate) > spread or np.array_equal(got[0], got[2]):
        raise Discrepancy(
            f"{s.label}: expected {rate} of zeros, other ones for another key; {zeros}"
        )
    kept = got[0] != 0
    limit = s.budgets("kept", lambda ar: ar.constant(x[kept]) / (1 - rate))[0]
    s.judge("kept", got[0][kept], limit)
