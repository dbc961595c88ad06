"""Losses: ignored targets, smoothing, soft targets, large logits, and totals with counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.interfaces import LossConfig
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal, uniform
from lmkernel_conformance.oracle import activation, loss

if TYPE_CHECKING:
    from lmkernel_conformance.oracle.arithmetic import Arithmetic
    from lmkernel_conformance.subject import Subject

Host = Any

_TARGETS = np.array([[3, -1, 0, 6], [-100, 2, 5, 1]])


def _cross_entropy(logits: Host, targets: Host, smoothing: float = 0.0) -> Trial:
    return Trial(
        inputs={"logits": logits},
        fixed={"targets": targets},
        native=lambda s, t: s.ops.cross_entropy(t["logits"], t["targets"], smoothing),
        formula=lambda ar, t: loss.cross_entropy(ar, t["logits"], targets, smoothing),
    )


@trial(id="cross_entropy", op="cross_entropy", rows=(19,))
def cross_entropy() -> Trial:
    """Some targets are ignored, by -1 and by -100; an ignored one costs nothing."""
    return _cross_entropy(normal("cross_entropy", 2, 4, 7, scale=2), _TARGETS)


@trial(id="cross_entropy.smoothing", op="cross_entropy", rows=(19,))
def cross_entropy_smoothing() -> Trial:
    """Label smoothing leaves out ignored targets as well."""
    return _cross_entropy(normal("cross_entropy", 2, 4, 7, scale=2), _TARGETS, 0.15)


@trial(id="cross_entropy.large_logits", op="cross_entropy", rows=(18,))
def cross_entropy_large() -> Trial:
    """Logits near 1000, and one of -1000 at a target: the loss is finite."""
    logits = uniform("cross_entropy.large", 4, 6, low=998, high=1003)
    logits[2, 4] = -1000.0
    return _cross_entropy(logits, np.array([1, 5, 4, 0]))


@trial(id="cross_entropy.large_vocabulary", op="cross_entropy")
def cross_entropy_wide() -> Trial:
    """Many classes, the last one too."""
    logits = normal("cross_entropy.wide", 3, 1009, scale=3)
    return _cross_entropy(logits, np.array([1008, 0, 511]))


def _soft(s: Any, t: dict[str, Host], logits: Host) -> Host:
    return s.ops.soft_cross_entropy(logits, t["target"])


@trial(id="soft_cross_entropy", op="soft_cross_entropy")
def soft_cross_entropy() -> Trial:
    """Against distributions; both arguments have gradients."""
    raw = uniform("soft.target", 2, 3, 5, low=0.1, high=1)
    return Trial(
        inputs={
            "logits": normal("soft", 2, 3, 5, scale=2),
            "target": raw / raw.sum(-1, keepdims=True),
        },
        native=lambda s, t: s.ops.soft_cross_entropy(t["logits"], t["target"]),
        formula=lambda ar, t: loss.soft_cross_entropy(ar, t["logits"], t["target"]),
    )


@trial(id="mse", op="mse")
def mse() -> Trial:
    """Mean over all elements of two axes, to 0-d."""
    return Trial(
        inputs={"y": normal("mse.y", 3, 5), "t": normal("mse.t", 3, 5, shift=0.5)},
        native=lambda s, t: s.ops.mse(t["y"], t["t"]),
        formula=lambda ar, t: loss.mse(ar, t["y"], t["t"]),
    )


def _component(kind: str, smoothing: float = 0.0) -> Any:
    config = LossConfig(kind=kind, smoothing=smoothing)
    return lambda s, y, t: list(s.factory.create("loss", config)(y, t))


def _flat_sum(ar: Arithmetic, x: Host) -> Host:
    return ar.sum(ar.reshape(x, (-1,)), 0)


@trial(id="loss.cross_entropy", level="components", rows=(19, 20))
def loss_cross_entropy() -> Trial:
    """Total over the real targets, and how many there are: 6 of 8."""
    component = _component("cross_entropy", 0.1)
    return Trial(
        inputs={"logits": normal("loss.cross_entropy", 2, 4, 7, scale=2)},
        fixed={"targets": _TARGETS},
        native=lambda s, t: component(s, t["logits"], t["targets"]),
        formula=lambda ar, t: [
            _flat_sum(ar, loss.cross_entropy(ar, t["logits"], _TARGETS, 0.1)),
            ar.full((), 6.0),
        ],
    )


@trial(id="loss.soft_cross_entropy", level="components")
def loss_soft() -> Trial:
    """Total over distributions, and how many there are: 6."""
    raw = uniform("soft.target", 2, 3, 5, low=0.1, high=1)
    component = _component("soft_cross_entropy")
    return Trial(
        inputs={"logits": normal("loss.soft", 2, 3, 5, scale=2)},
        fixed={"target": raw / raw.sum(-1, keepdims=True)},
        native=lambda s, t: component(s, t["logits"], t["target"]),
        formula=lambda ar, t: [
            _flat_sum(ar, loss.soft_cross_entropy(ar, t["logits"], t["target"])),
            ar.full((), 6.0),
        ],
    )


_SPOKEN = ((0, 2), (3, 3), (2,))
"""The second row has just the steps that it needs, one of them for a blank."""
_SPOKEN_STEPS = (5, 3, 4)


def _spoken_logits(ar: Any, x: Host) -> list[Host]:
    """The rows, as long as they are."""
    return [ar.reshape(x[i, :steps], (steps, 4)) for i, steps in enumerate(_SPOKEN_STEPS)]


@trial(id="loss.ctc", level="components")
def loss_ctc() -> Trial:
    """Labels at whatever times, repeated ones, rows of unequal length; 5 labels in all.

    The blank is not the first class. A step that is none says blank for certain.
    """
    config = LossConfig(kind="ctc", blank=1)
    padded = np.full((3, 2), -1)
    for row, labels in zip(padded, _SPOKEN, strict=True):
        row[: len(labels)] = labels
    silent = np.where(np.arange(4) == 1, 0.0, -1e20) * np.ones((3, 5, 4))
    real = (np.arange(5) < np.array(_SPOKEN_STEPS)[:, None])[..., None]

    def native(s: Subject, t: dict[str, Host]) -> list[Any]:
        outputs = s.ops.where(s.array(real), t["logits"], s.array(silent))
        return list(s.factory.create("loss", config)(outputs, t["targets"]))

    def formula(ar: Arithmetic, t: dict[str, Host]) -> list[Host]:
        rows = zip(_spoken_logits(ar, t["logits"]), _SPOKEN, strict=True)
        first, second, third = (loss.ctc(ar, x, labels, 1) for x, labels in rows)
        return [first + second + third, ar.full((), 5.0)]

    return Trial(
        inputs={"logits": normal("loss.ctc", 3, 5, 4, scale=2)},
        fixed={"targets": padded},
        native=native,
        formula=formula,
    )


@case(level="components", id="loss.ctc.impossible")
def ctc_impossible(s: Subject) -> None:
    """Two equal labels in two steps: infinite, without a gradient; nothing where that is asked."""
    x, targets = s.array(normal("ctc.short", 1, 2, 3)), s.array(np.array([[0, 0]]))
    for zero, expected in ((False, (np.inf, 2.0)), (True, (0.0, 0.0))):
        config = LossConfig(kind="ctc", blank=2, zero_infinity=zero)
        component = s.factory.create("loss", config)
        total, count = component(x, targets)
        got = float(s.host(total)), float(s.host(count))
        s.demand(f"total and count, zero_infinity={zero}", expected=expected, got=got)


@trial(id="loss.mse", level="components")
def loss_mse() -> Trial:
    """Total of the squares, and how many elements there are: 15."""
    component = _component("mse")
    return Trial(
        inputs={"y": normal("mse.y", 3, 5)},
        fixed={"t": normal("mse.t", 3, 5, shift=0.5)},
        native=lambda s, t: component(s, t["y"], t["t"]),
        formula=lambda ar, t: [15.0 * loss.mse(ar, t["y"], t["t"]), ar.full((), 15.0)],
    )


_SIDES = np.array(
    [
        [[-1, -1], [0, 0], [1, 0], [0, 1], [-100, 0]],
        [[0, -1], [1, -1], [0, -1], [0, -1], [0, -1]],
    ]
)
"""Where an answer begins and ends: both in the first row, and no end in the second."""


@trial(id="loss.spans", level="components", rows=(19,))
def loss_spans() -> Trial:
    """Starts and ends among the positions that they may have; 3 of 4 are somewhere."""
    component = _component("spans")
    return Trial(
        inputs={"scores": normal("loss.spans", 2, 5, 2, scale=2)},
        fixed={"targets": _SIDES},
        native=lambda s, t: component(s, t["scores"], t["targets"]),
        formula=lambda ar, t: [
            _flat_sum(ar, loss.span_cross_entropy(ar, t["scores"], _SIDES)),
            ar.full((), 3.0),
        ],
    )


@trial(id="loss.binary_cross_entropy", level="components", rows=(19,))
def loss_binary() -> Trial:
    """Yes and no at each output, two of them sure beyond an exponential's range; 6 of 8 count."""
    logits = normal("loss.binary", 2, 4, scale=2)
    logits[0, 1], logits[1, 2] = -130.0, 120.0
    targets = np.array([[1, 0, -1, 0], [-100, 1, 0, 1]])
    component = _component("binary_cross_entropy")
    return Trial(
        inputs={"logits": logits},
        fixed={"targets": targets},
        native=lambda s, t: component(s, t["logits"], t["targets"]),
        formula=lambda ar, t: [
            _flat_sum(ar, loss.binary_cross_entropy(ar, t["logits"], targets)),
            ar.full((), 6.0),
        ],
    )


@case(level="components", id="loss.by_hand", rows=(20,))
def by_hand(s: Subject) -> None:
    """Labels are used as they are given, not shifted to the next token.

    Three positions over two classes with odds 1:1, 1:3 and 3:1; targets 0, 1 and 1: the total is
    ln 2 + ln 4/3 + ln 4, that is ln(32/3).
    """
    odds = np.log(np.array([[[1.0, 1.0], [1.0, 3.0], [3.0, 1.0]]]))
    component = s.factory.create("loss", LossConfig(kind="cross_entropy"))
    total, count = component(s.array(odds), s.array(np.array([[0, 1, 1]])))
    limit = s.budgets("total", lambda ar: _by_hand(ar, odds))
    s.judge("total", s.host(total), limit[0])
    s.demand("count", expected=3.0, got=float(s.host(count)))


def _by_hand(ar: Arithmetic, odds: Host) -> Host:
    logs = activation.log_softmax(ar, ar.constant(odds))
    return -(logs[0, 0, 0] + logs[0, 1, 1] + logs[0, 2, 1])
