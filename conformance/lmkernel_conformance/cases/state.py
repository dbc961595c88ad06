"""State between calls: threads, generators of the host, functions and models beside each other."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.models import batch
from lmkernel_conformance.cases.zoo import ZOO, build_model, values
from lmkernel_conformance.inputs import tokens
from lmkernel_conformance.oracle import model as oracle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel_conformance.subject import Subject

Host = Any

_PATIENCE = 120.0
"""Seconds that a thread waits for the other; a backend that compiles takes a while."""


@case(level="operations", id="state.threads")
def threads(s: Subject) -> None:
    """Two threads, each in a scope of its own, call one compiled function at the same time."""
    f = s.ops.compile(lambda x: x * x * x)
    _in_two_threads(s, lambda x: s.equal("cubes", f(s.array(x)), x**3, s.dtype))


@case(level="gradients", id="state.threads.gradients", training=True)
def gradients_in_threads(s: Subject) -> None:
    """Two threads take gradients of one function at the same time."""
    f = s.ops.compile(s.ops.value_and_grad(lambda x: s.ops.sum(x * x * x, 0)))

    def check(x: Host) -> None:
        value, slope = f(s.array(x))
        s.equal("value", value, (x**3).sum(), s.dtype)
        s.equal("gradient", slope, 3 * x * x, s.dtype)

    _in_two_threads(s, check)


def _in_two_threads(s: Subject, check: Callable[[Host], None]) -> None:
    """Make a check of two rows of numbers, many times, in two threads that keep pace."""
    both, failed = threading.Barrier(2), list[BaseException]()

    def work(x: Host) -> None:
        wide = 1 + 2.0**-40
        try:
            with s.backend:
                for _ in range(20):
                    both.wait(_PATIENCE)
                    check(x)
                    s.equal("float64", s.ops.asarray(wide, "float64"), wide, "float64")
        except BaseException as error:  # noqa: BLE001 - raised again outside
            failed.append(error)
            both.abort()

    first, second = np.array([1.0, -2.0, 3.0]), np.array([-4.0, 5.0, 0.5, 2.0])
    _at_once([lambda: work(first), lambda: work(second)])
    for error in failed:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error


def _at_once(jobs: Sequence[Callable[[], None]]) -> None:
    started = [threading.Thread(target=job) for job in jobs]
    for one in started:
        one.start()
    for one in started:
        one.join()


@case(level="operations", id="state.host_generators", rows=(30,))
def host_generators(s: Subject) -> None:
    """Keyed draws and dropout neither read nor move the generators of NumPy and of Python."""
    ops: Any = s.ops
    key, x = ops.asarray((3, 4), "int32"), s.array(np.ones(64))
    found = []
    kept = np.random.get_state(), random.getstate()  # noqa: NPY002 - the global one is what is asked about
    try:
        for seed in (0, 1):
            np.random.seed(seed)  # noqa: NPY002 - the same
            random.seed(seed)
            before = np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]  # noqa: NPY002 - the same
            found.append((ops.random_uniform(key, (64,), s.dtype), ops.dropout(x, key, 0.5)))
            after = np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]  # noqa: NPY002 - the same
            s.demand("NumPy's generator stays", expected=True, got=before[0] == after[0])
            s.demand("Python's generator stays", expected=True, got=before[1] == after[1])
    finally:
        np.random.set_state(kept[0])  # noqa: NPY002 - the same
        random.setstate(kept[1])
    for name, one, other in zip(("draws", "dropout"), *found, strict=True):
        s.equal(f"{name} with other seeds of the host", other, s.host(one), s.dtype)


@case(level="operations", id="state.closures", rows=(28,))
def closures(s: Subject) -> None:
    """Compiled functions of one code close over different values, and are called in turn."""
    ops, x = s.ops, np.array([1.0, -2.0, 4.0])

    def scaled(factor: float, more: Any) -> Any:
        return ops.compile(lambda y: y * factor + more)

    made = [(n, scaled(n, s.constant(n / 2))) for n in (2.0, 4.0, -1.0)]
    for factor, f in (*made, *made[::-1]):
        s.equal(f"times {factor}", f(s.array(x)), x * factor + factor / 2, s.dtype)


@case(level="operations", id="state.structures", rows=(28,))
def structures(s: Subject) -> None:
    """One compiled function meets trees of other keys, kinds and shapes with as many leaves."""
    ops, x, y = s.ops, np.array([1.0, 2.0]), np.array([3.0, 5.0])

    def f(t: Any) -> Any:
        if isinstance(t, dict):
            return t["a"] - t["b"] if "b" in t else t["a"] - t["c"] - t["c"]
        return t[0] * t[1] if isinstance(t, tuple) else t[0] + t[1]

    g = ops.compile(f)
    trees: list[tuple[str, Callable[[Any, Any], Any], Host]] = [
        ("a, b", lambda a, b: {"a": a, "b": b}, x - y),
        ("a, c", lambda a, b: {"a": a, "c": b}, x - 2 * y),
        ("b, a", lambda a, b: {"b": b, "a": a}, x - y),
        ("a tuple", lambda a, b: (a, b), x * y),
        ("a list", lambda a, b: [a, b], x + y),
    ]
    for name, make, want in (*trees, *trees[::-1]):
        s.equal(name, g(make(s.array(x), s.array(y))), want, s.dtype)
    whole = np.arange(6.0)
    total = ops.compile(lambda z: ops.sum(z, 0))
    for shape in ((6,), (2, 3), (3, 2), (6, 1), (1, 6), (6,)):
        one = whole.reshape(shape)
        s.equal(f"sum over {shape}", total(s.array(one)), one.sum(0), s.dtype)


@case(level="models", id="state.two_models", rows=(28,))
def two_models(s: Subject) -> None:
    """Two models decode in turn, and each gives what it gives alone."""
    names = ("llama", "gpt2")
    models = {n: build_model(s, n) for n in names}
    params = {n: m.pack(values(s, n)) for n, m in models.items()}

    def begin(name: str) -> Any:
        return models[name].begin(params[name], 3, 4)

    def step(name: str, at: int, state: Any) -> Any:
        fed = batch(name)
        where = np.full((3, 1), at, np.int32)
        return models[name].step(
            params[name], fed.inputs[:, at : at + 1].astype(np.int32), where, state
        )

    alone: dict[str, list[Host]] = {}
    for name in names:
        state, alone[name] = begin(name), []
        for at in range(4):
            got, state = step(name, at, state)
            alone[name].append(got)
    states = {n: begin(n) for n in names}
    limits = {n: _every_position(s, n, batch(n).inputs, n) for n in names}
    bitwise = "runs" in s.backend.capabilities.bitwise_on(s.backend.device)
    for at in range(4):
        for name in names:
            got, states[name] = step(name, at, states[name])
            if bitwise:
                s.equal(f"{name}: position {at}, declared bitwise", got, alone[name][at])
            s.judge(f"{name}: position {at}", got, limits[name].at((slice(None), at)))


_PIECES = ((2, 0, 3), (1, 0, 1), (1, 2, 0), (3, 1, 0), (1, 1, 0), (1, 1, 0))
"""How many tokens each row is fed in each step: the second joins later, the third has ended."""


@case(level="models", id="state.conversation", rows=(11, 25))
def conversation(s: Subject) -> None:
    """A row joins, a row leaves, the cache grows step by step, and a fork goes another way."""
    model, name = build_model(s, "llama"), "llama"
    params = model.pack(values(s, name))
    long = tokens("conversation", 3, 9, vocab=31)
    other = long.copy()
    other[:, 5:] = (other[:, 5:] + 11) % 31
    limits = {
        which: _every_position(s, which, fed, name)
        for which, fed in (("own", long), ("fork", other))
    }
    state, done, fork = model.begin(params, 3, 1), [0, 0, 0], None
    for count, piece in enumerate(_PIECES):
        if count == 3:  # noqa: PLR2004 - here all rows have had the same tokens in both
            fork = model.fork(state)
        fed, where, last = _columns(long, done, piece)
        got, state = model.step(params, fed, where, state)
        _judge_rows(s, f"step {count}", got, limits["own"], last)
        if fork is not None:
            got, fork = model.step(params, _columns(other, done, piece)[0], where, fork)
            _judge_rows(s, f"step {count} of the fork", got, limits["fork"], last)
        done = [had + more for had, more in zip(done, piece, strict=True)]


def _every_position(s: Subject, which: str, fed: Host, name: str) -> Any:
    hosts = values(s, name)
    return s.budgets(
        which,
        lambda ar: oracle.forward(
            ar, ZOO[name], {n: ar.constant(x) for n, x in hosts.items()}, fed
        ),
    )[0]


def _columns(fed: Host, done: Sequence[int], piece: Sequence[int]) -> tuple[Host, Host, list[int]]:
    """The next tokens of each row and their positions, padded on the left; the last positions."""
    width = max(piece)
    now, where = np.zeros((3, width), np.int32), np.full((3, width), -1, np.int32)
    for row, (had, more) in enumerate(zip(done, piece, strict=True)):
        now[row, width - more :] = fed[row, had : had + more]
        where[row, width - more :] = np.arange(had, had + more)
    return now, where, [int(last) for last in where[:, -1]]


def _judge_rows(s: Subject, what: str, got: Host, limit: Any, last: Sequence[int]) -> None:
    for row, at in enumerate(last):
        if at >= 0:
            s.judge(f"{what}: row {row}", got[row], limit.at((row, at)))
