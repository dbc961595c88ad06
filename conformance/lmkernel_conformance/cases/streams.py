"""The framework's random streams: whether draws repeat, hang together, or are another key's.

Constraints: keys are fixed, so a backend gets the same verdict each time. Bounds are six standard
errors, which one honest generator in a hundred million exceeds.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.discrepancy import Discrepancy

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_SIGMAS = 6.0
_RATES = (0.001, 0.02, 0.1, 0.35, 0.5, 0.8, 0.95, 0.999)
_ROWS, _WIDTH = 250, 401
"""Rows of a prime width, so that no period of a power of two falls on the same column."""


def _draws(s: Subject, key: tuple[int, int], *shape: int) -> Host:
    ops: Any = s.ops
    return s.host(ops.random_uniform(ops.asarray(key, "int32"), shape, s.dtype)).astype(np.float64)


def _within(s: Subject, what: str, got: float, expected: float, error: float) -> None:
    """Demand a statistic within six standard errors of what independent draws give."""
    if not abs(got - expected) <= _SIGMAS * error:
        raise Discrepancy(
            f"{s.label}: {what}: expected {expected:.5g} ± {_SIGMAS * error:.2g}, got {got:.5g}"
        )


def _uncorrelated(s: Subject, what: str, x: Host, y: Host) -> None:
    """Demand that two arrays of uniform draws have no correlation."""
    product = (x - 0.5) * (y - 0.5) * 12
    _within(s, f"{what}: correlation", float(product.mean()), 0.0, 1 / np.sqrt(product.size))


def _repeated(streams: list[Host]) -> int:
    """How many pairs of neighbouring draws stand in several places, in whichever order."""
    pairs = np.concatenate([np.sort(np.stack([x[:-1], x[1:]], 1), 1) for x in streams])
    return len(pairs) - len(np.unique(pairs, axis=0))


@case(level="operations", id="streams.serial", rows=(30,))
def serial(s: Subject) -> None:
    """A long stream neither repeats itself nor depends on what came before, and fills its range."""
    for key in ((0, 0), (7, 123_456)):
        x = _draws(s, key, _ROWS, _WIDTH).ravel()
        s.demand(f"{key}: pairs of draws that come again", expected=0, got=_repeated([x]))
        for lag in (1, 2, 3, 4, 8, 64, 256, _WIDTH, 1024, 4096, 32_768):
            _uncorrelated(s, f"{key}, {lag} apart", x[lag:], x[:-lag])
        for digits, bins in ((0, 64), (10, 16)):  # the first six binary digits, and four later ones
            counts = np.bincount((x * 2.0**digits % 1 * bins).astype(int), minlength=bins)
            mean = x.size / bins
            squares = float(((counts - mean) ** 2 / mean).sum())
            _within(s, f"{key}: χ² from digit {digits}", squares, bins - 1, np.sqrt(2 * (bins - 1)))


@case(level="operations", id="streams.keys", rows=(30,))
def between_keys(s: Subject) -> None:
    """Neighbouring keys give streams that share no stretch, at any shift, and are independent."""
    first = [(k, 0) for k in range(40)]
    second = [(0, k) for k in range(1, 40)]
    apart = [(k * 65_536, k + 1) for k in range(1, 20)] + [(2**31 - 1, k) for k in range(20)]
    streams = [_draws(s, key, 512) for key in (*first, *second, *apart)]
    s.demand("stretches that two keys share", expected=0, got=_repeated(streams))
    for name, group in (("first word", streams[:40]), ("second word", streams[40:79])):
        for i, (x, y) in enumerate(pairwise(group)):
            _uncorrelated(s, f"{name}, keys {i} and {i + 1}", x, y)
        together = np.stack(group)
        _uncorrelated(s, f"{name}, all neighbours", together[1:], together[:-1])
        mean = float(together[:, 0].mean())
        _within(s, f"{name}: first draws", mean, 0.5, 1 / np.sqrt(12 * len(group)))
        spread = float(together.mean(0).std())
        expected = 1 / np.sqrt(12 * len(group))
        _within(s, f"{name}: draws of one place", spread, expected, expected / np.sqrt(2 * 512))


@case(level="operations", id="streams.dropout", rows=(30,))
def dropout(s: Subject) -> None:
    """At rates from 0.001 to 0.999: the share of zeros, in rows and columns, and their chance."""
    ops, ones = s.ops, s.array(np.ones((_ROWS, _WIDTH)))
    for i, rate in enumerate(_RATES):
        masks = []
        for word in (i, i + 1):
            y = s.host(ops.dropout(ones, ops.asarray((3, word), "int32"), rate)).astype(np.float64)
            masks.append(y == 0)
            kept = y[y != 0]
            limit = s.budgets(f"kept at {rate}", lambda ar: ar.constant(np.ones(1)) / (1 - rate))[0]  # noqa: B023 - called at once
            for end in (kept.min(initial=np.inf), kept.max(initial=-np.inf)):
                s.judge(f"kept at {rate}", np.array([end]), limit)
        _check_zeros(s, rate, *masks)


@case(level="operations", id="streams.no_dropout")
def no_dropout(s: Subject) -> None:
    """At a rate of zero everything stays as it is."""
    x = s.round(np.arange(1.0, 400.0).reshape(3, -1))
    for word in range(4):
        got = s.ops.dropout(s.array(x), s.ops.asarray((0, word), "int32"), 0.0)
        s.equal(f"key {word}", got, x, s.dtype)


def _check_zeros(s: Subject, rate: float, zeros: Host, other: Host) -> None:
    """Demand the rate everywhere, and zeros that fall independently of each other."""
    variance = rate * (1 - rate)
    _within(s, f"zeros at {rate}", zeros.mean(), rate, np.sqrt(variance / zeros.size))
    centred = zeros - rate
    pairs = {
        "next to each other": centred[:, 1:] * centred[:, :-1],
        "below each other": centred[1:] * centred[:-1],
        "of neighbouring keys": centred * (other - rate),
    }
    for name, product in pairs.items():
        _within(
            s, f"zeros at {rate}, {name}", product.mean(), 0.0, variance / np.sqrt(product.size)
        )
    for axis, count in ((0, _ROWS), (1, _WIDTH)):
        squares = float(((zeros.mean(axis) - rate) ** 2).mean() * count / variance)
        lines = zeros.shape[1 - axis]
        _within(
            s, f"zeros at {rate}, spread along axis {axis}", squares, 1.0, np.sqrt(2 / lines) * 1.5
        )
