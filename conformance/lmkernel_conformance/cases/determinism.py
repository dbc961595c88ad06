"""What comes when a backend is asked again, in other company, or piece by piece.

Each property holds to the last bit where the backend declares it (`Capabilities.bitwise`), and
within the budget of rounding where it doesn't.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.zoo import ZOO, build_model, values
from lmkernel_conformance.inputs import normal, tokens
from lmkernel_conformance.oracle import activation, attention, loss, norm
from lmkernel_conformance.oracle import model as oracle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.budget import Budget
    from lmkernel_conformance.subject import Subject

Host = Any

_ROWS, _TIME = 5, 12
_TIMES = 4
"""How often the same is asked."""
_NAMES = ("linear", "softmax", "layer_norm", "rms_norm", "sum", "cross_entropy", "attention")
_BY_ROW = ("x", "q", "k", "v", "t")
"""The inputs whose first axis is the batch."""


def _same(s: Subject, kept: str, what: str, got: Host, first: Host, limit: Budget) -> None:
    """Demand what came first, bit for bit if ``kept`` is declared so, and a right result."""
    if kept in s.backend.capabilities.bitwise_on(s.backend.device):
        s.equal(f"{what}, declared bitwise", got, first)
    s.judge(what, got, limit)


def _inputs() -> dict[str, Host]:
    shapes = {"x": (9, 300), "w": (130, 300), "b": (130,), "g": (300,), "q": (9, 4, 17, 16)}
    found = {n: normal(f"determinism.{n}", *shape) for n, shape in shapes.items()}
    found |= {n: normal(f"determinism.{n}", 9, 2, 33, 16) for n in ("k", "v")}
    return {**found, "t": (np.arange(9) * 31) % 300}


def _operations(s: Subject, t: Mapping[str, Any]) -> dict[str, Any]:
    """Results whose sums a framework may share out, one row of the batch after the other."""
    ops = s.ops
    return {
        "linear": ops.linear(t["x"], t["w"], t["b"]),
        "softmax": ops.softmax(t["x"]),
        "layer_norm": ops.layer_norm(t["x"], t["g"], None, 1e-5),
        "rms_norm": ops.rms_norm(t["x"], t["g"], 1e-5),
        "sum": ops.sum(t["x"], 1),
        "cross_entropy": ops.cross_entropy(t["x"], t["t"]),
        "attention": ops.attention(t["q"], t["k"], t["v"], None, scale=0.25),
    }


def _formulas(ar: Any, hosts: Mapping[str, Host]) -> list[Host]:
    t = {n: ar.constant(x) if x.dtype.kind == "f" else x for n, x in hosts.items()}
    return [
        norm.linear(ar, t["x"], t["w"], t["b"]),
        activation.softmax(ar, t["x"]),
        norm.layer_norm(ar, t["x"], t["g"], None, 1e-5),
        norm.rms_norm(ar, t["x"], t["g"], 1e-5),
        ar.sum(t["x"], 1),
        loss.cross_entropy(ar, t["x"], t["t"]),
        attention.attention(ar, t["q"], t["k"], t["v"], None, scale=0.25),
    ]


def _limits(s: Subject, hosts: Mapping[str, Host]) -> dict[str, Budget]:
    return dict(zip(_NAMES, s.budgets("results", lambda ar: _formulas(ar, hosts)), strict=True))


@case(level="determinism", id="runs.operations")
def runs_of_operations(s: Subject) -> None:
    """The same operations on the same arrays, several times, eager and compiled."""
    hosts = s.round(_inputs())
    limits, arrays = _limits(s, hosts), s.arrays(hosts)

    def f(t: Any) -> Any:
        return _operations(s, t)

    for how, call in (("eager", f), ("compiled", s.ops.compile(f))):
        first = {name: s.host(got) for name, got in call(arrays).items()}
        for count in range(1, _TIMES):
            for name, got in call(arrays).items():
                what = f"{name}, {how}, time {count}"
                _same(s, "runs", what, s.host(got), first[name], limits[name])


@case(level="determinism", id="runs.gradients", training=True)
def runs_of_gradients(s: Subject) -> None:
    """The same gradients, several times, compiled: of rows that are taken more than once, too."""
    ops, index = s.ops, np.array([3, 0, 3, 3, 7, 0, 3, 7] * 6)
    x = s.round(normal("determinism.rows", 8, 40))

    def total(t: Any) -> Any:
        rows = ops.take(t, s.array(index), 0)
        return ops.sum(ops.reshape(rows * rows * rows, (-1,)), 0)

    counts = np.bincount(index, minlength=8)[:, None].astype(float)
    limit = s.budgets(
        "gradient", lambda ar: ar.constant(3.0 * counts) * ar.constant(x) * ar.constant(x)
    )[0]
    f = ops.compile(ops.value_and_grad(total))
    first = s.host(f(s.array(x))[1])
    for count in range(1, _TIMES):
        _same(s, "runs", f"gradient, time {count}", s.host(f(s.array(x))[1]), first, limit)


@case(level="determinism", id="runs.models")
def runs_of_models(s: Subject) -> None:
    """The same model on the same tokens, several times."""
    asked, fed, limit = _Asked(s, "llama"), _fed("llama"), _whole(s, "llama")
    first = asked.at_once(fed)
    for count in range(1, _TIMES):
        _same(s, "runs", f"time {count}", asked.at_once(fed), first, limit)


@case(level="determinism", id="batch.operations")
def batches_of_operations(s: Subject) -> None:
    """A row of a batch gives what it gives alone, and in the middle of others."""
    hosts = s.round(_inputs())
    limits = _limits(s, hosts)

    def rows_of(chosen: slice) -> dict[str, Host]:
        part = {n: x[chosen] if n in _BY_ROW else x for n, x in hosts.items()}
        return {n: s.host(got) for n, got in _operations(s, s.arrays(part)).items()}

    alone = {n: x[0] for n, x in rows_of(slice(4, 5)).items()}
    for first, last in ((4, 6), (2, 7), (0, 9)):
        for name, got in rows_of(slice(first, last)).items():
            limit = limits[name].at((4,))
            what = f"{name}, row 4 of {first} to {last - 1}"
            _same(s, "batch", what, got[4 - first], alone[name], limit)


@case(level="determinism", id="batch.models", rows=(11,))
def batches_of_models(s: Subject) -> None:
    """A row of tokens gives what it gives alone, whatever the others are, at once and decoded."""
    asked, fed = _Asked(s, "llama"), _fed("llama")
    limit = _whole(s, "llama").at((2,))
    alone, decoded = asked.at_once(fed[2:3])[0], asked.decoded(fed[2:3], 1)[0]
    for chosen in ([1, 2], [4, 0, 2, 3, 1]):
        at = chosen.index(2)
        got = asked.at_once(fed[chosen])[at]
        _same(s, "batch", f"among {chosen}", got, alone, limit)
        got = asked.decoded(fed[chosen], 1)[at]
        _same(s, "batch", f"decoded among {chosen}", got, decoded, limit)


@case(level="determinism", id="decoding.models", rows=(25,))
def decoding(s: Subject) -> None:
    """All tokens at once, one by one, and in pieces: each position's logits are the same."""
    for name in ("llama", "gemma"):
        asked, fed, limit = _Asked(s, name), _fed(name), _whole(s, name)
        whole = asked.at_once(fed)
        for size in (1, 5):
            ends = [min(at + size, _TIME) - 1 for at in range(0, _TIME, size)]
            got, at = asked.decoded(fed, size), limit.at((slice(None), ends))
            _same(s, "decoding", f"{name} in pieces of {size}", got, whole[:, ends], at)


def _fed(name: str) -> Host:
    return tokens(f"determinism.{name}", _ROWS, _TIME, vocab=31)


def _whole(s: Subject, name: str) -> Budget:
    """The oracle's logits at every position of every row, with their budget."""
    hosts = values(s, name)
    return s.budgets(
        f"logits of {name}",
        lambda ar: oracle.forward(
            ar, ZOO[name], {n: ar.constant(x) for n, x in hosts.items()}, _fed(name)
        ),
    )[0]


@final
class _Asked:
    """A model of the zoo, which computes all positions at once, or decodes."""

    def __init__(self, s: Subject, name: str) -> None:
        self._s, self._model = s, build_model(s, name)
        self._params = self._model.place(values(s, name))
        self._forward = s.ops.compile(self._model.forward)

    def at_once(self, fed: Host) -> Host:
        """The logits ``(rows, time, vocab)``."""
        return self._s.host(self._forward(self._params, self._s.array(fed)))

    def decoded(self, fed: Host, size: int) -> Host:
        """The logits after each piece of ``size`` tokens, ``(rows, pieces, vocab)``."""
        state, found = self._model.begin(self._params, len(fed), _TIME), []
        for at in range(0, _TIME, size):
            piece = fed[:, at : at + size].astype(np.int32)
            where = np.broadcast_to(np.arange(at, at + piece.shape[1], dtype=np.int32), piece.shape)
            got, state = self._model.step(self._params, piece, where, state)
            found.append(got)
        return np.stack(found, 1)
