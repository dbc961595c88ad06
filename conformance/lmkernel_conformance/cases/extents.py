"""Extents at which implementations change: tables, counters, loops, trees, angles, rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.inputs import extent, normal, uniform
from lmkernel_conformance.oracle import optimizers

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_CLASSES = (1, 2, 127, 128, 129, 255, 256, 257, 1025, 4097, 50_257)
_STOPS = (1, 255, 257, 2048, 2049, 4097, 32_769, 65_537, 131_073)
_STEPS = (1, 2, 7, 8, 9, 16, 17, 33, 65, 130)
_RATES = (0.001, 0.01, 0.1, 0.3, 0.5, 0.75, 0.9, 0.99, 0.999)


@case(level="operations", id="extents.one_hot")
def one_hot(s: Subject) -> None:
    """The first class, the last, some in between, and none, among few and very many."""
    ops: Any = s.ops
    for size in _CLASSES:
        index = np.array([0, size - 1, size // 2, -1, size // 3])
        want = index[:, None] == np.arange(size)
        s.equal(f"of {size}", ops.one_hot(s.array(index), size, s.dtype), want, s.dtype)


@case(level="operations", id="extents.arange")
def arange(s: Subject) -> None:
    """Counting far, from zero, from below and from above it; floats as far as each is exact."""
    ops: Any = s.ops
    for stop in _STOPS:
        for start in (0, -3, stop // 2):
            got = ops.arange(start, stop, "int32")
            s.equal(f"{start} to {stop}", got, np.arange(start, stop), "int32")
    s.equal("floats", ops.arange(0, 70_001, s.dtype), np.arange(70_001), s.dtype)


@case(level="operations", id="extents.astype")
def astype(s: Subject) -> None:
    """Integers beyond 16 bits become floats and come back."""
    ops: Any = s.ops
    whole = np.array([0, 255, 4097, 32_768, 65_537, 131_073, 2**24 - 1, -40_001])
    floats = ops.astype(s.array(whole), s.dtype)
    s.equal("floats", floats, whole, s.dtype)
    s.equal("integers", ops.astype(floats, "int32"), whole, "int32")


@case(level="operations", id="extents.scan")
def scan(s: Subject) -> None:
    """Loops of one step to many, both ways: a carry that depends on the order of the steps."""
    for steps in _STEPS:
        x = np.arange(1, steps + 1) % 5 - 2.0

        def f(carry: Any, now: Any) -> tuple[Any, Any]:
            carry = s.constant(-0.5) * carry + now
            return carry, carry * now

        for reverse in (False, True):
            end, ys = s.ops.scan(f, s.constant(3.0), s.array(x), reverse=reverse)
            limits = s.budgets(f"{steps}, {reverse}", lambda ar: _loop(ar, x, reverse=reverse))  # noqa: B023 - called at once
            what = f"{steps} steps, reverse={reverse}"
            s.judge(f"{what}: carry", s.host(end), limits[0])
            s.judge(f"{what}: outputs", s.host(ys), limits[1])


def _loop(ar: Any, x: Host, *, reverse: bool) -> list[Host]:
    carry, found = ar.constant(3.0), [None] * len(x)
    for i in range(len(x))[:: -1 if reverse else 1]:
        carry = -0.5 * carry + ar.constant(x[i])
        found[i] = carry * x[i]
    return [carry, np.stack([np.asarray(y) for y in found])]


@case(level="gradients", id="extents.scan.gradient", training=True)
def scan_gradient(s: Subject) -> None:
    """The gradient through loops of one step to many: powers of the factor, which is a half."""
    ops = s.ops
    for steps in _STEPS[:8]:

        def f(t: Any) -> Any:
            step = lambda c, x: (s.constant(0.5) * c + x, x)  # noqa: E731 - one expression
            return ops.scan(step, t["h"], t["x"])[0]

        tree = {"h": s.constant(2.0), "x": s.array(np.ones(steps))}
        _, g = ops.value_and_grad(f)(tree)
        s.equal(f"{steps} steps: first carry", g["h"], 0.5**steps, s.dtype)
        s.equal(f"{steps} steps: inputs", g["x"], 0.5 ** np.arange(steps)[::-1], s.dtype)


def _angles(name: str) -> Trial:
    """Positions of long contexts times the frequencies of RoPE, the largest angles as well."""
    positions = np.array([4_095, 8_191, 8_193, 16_385, 32_769, 65_535, 131_071])
    x = np.concatenate([positions, positions * 0.36, -positions * 0.0129, positions / 1e4])
    x = x + extent(name, 0)
    return Trial(
        inputs={"x": x},
        native=lambda s, t: getattr(s.ops, name)(t["x"]),
        formula=lambda ar, t: getattr(ar, name)(t["x"]),
    )


@trial(id="extents.cos")
def cos() -> Trial:
    """Angles of contexts of up to 131,072 positions."""
    return _angles("cos")


@trial(id="extents.sin")
def sin() -> Trial:
    """Angles of contexts of up to 131,072 positions."""
    return _angles("sin")


def _norm_of(count: int) -> Trial:
    name = f"extents.norm.{count}"
    inputs = {f"x{i}": normal(f"{name}.{i}", 2, 1 + i % 3) for i in range(count)}
    return Trial(
        inputs=inputs,
        native=lambda s, t: s.ops.global_norm([t[key] for key in inputs]),
        formula=lambda ar, t: optimizers.norm(ar, [t[key] for key in inputs]),
    )


@trial(id="extents.global_norm.65", level="training", gradients=False)
def norm_of_65() -> Trial:
    """The norm of 65 arrays, one more than a power of two."""
    return _norm_of(65)


@trial(id="extents.global_norm.300", level="training", gradients=False)
def norm_of_300() -> Trial:
    """The norm of 300 arrays, as many as a small model has."""
    return _norm_of(300)


@case(level="operations", id="extents.dropout")
def dropout(s: Subject) -> None:
    """Rates from next to nothing to nearly all: the share of zeros, and the factor of the rest."""
    ops: Any = s.ops
    x = s.round(uniform("extents.dropout", 150, 200, low=0.5, high=2))
    for i, rate in enumerate(_RATES):
        got = s.host(ops.dropout(s.array(x), ops.asarray([7, i], "int32"), rate))
        kept = got != 0
        zeros, spread = 1 - float(kept.mean()), 6 * np.sqrt(rate * (1 - rate) / x.size)
        if abs(zeros - rate) > spread:
            raise Discrepancy(f"{s.label}: expected {rate} of zeros, got {zeros:.5f}")
        most = np.where(kept, x, 0.0)
        limit = s.budgets(f"rate {rate}", lambda ar: ar.constant(most) / (1 - rate))[0]  # noqa: B023 - called at once
        s.judge(f"rate {rate}", got, limit)
