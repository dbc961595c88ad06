"""Laws that hold for any numbers, and so would catch a mistake in the oracle too."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.inputs import normal
from lmkernel_conformance.oracle import activation, attention, norm

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any


@case(level="operations", id="law.softmax_shift", rows=(18,))
def softmax_shift(s: Subject) -> None:
    """softmax(x + c) = softmax(x), for shifts that lose no digit."""
    x = np.round(normal("shift", 3, 5) * 64) / 64
    for shift in (-256.0, 64.0, 512.0):
        for axis in (0, 1):
            limit = s.budgets(f"{axis}", functools.partial(_softmax, x=x, axis=axis))
            s.judge(
                f"shift {shift}, axis {axis}",
                s.host(s.ops.softmax(s.array(x + shift), axis)),
                limit[0],
            )


def _softmax(ar: Any, *, x: Host, axis: int) -> Host:
    return activation.softmax(ar, ar.constant(x), axis)


@case(level="operations", id="law.softmax_sums_to_one", rows=(18,))
def softmax_total(s: Subject) -> None:
    """Probabilities are non-negative and sum to one."""
    x = normal("total", 4, 33, scale=20)
    y = s.host(s.ops.softmax(s.array(x), -1)).astype(np.float64)
    s.demand("non-negative", expected=True, got=bool((y >= 0).all()))
    limit = s.budgets("sum", lambda ar: ar.sum(activation.softmax(ar, ar.constant(x)), -1))
    s.judge("sum", y.sum(-1), limit[0])


@case(level="operations", id="law.norm_scale")
def norm_scale(s: Subject) -> None:
    """With a negligible ε, a norm does not depend on the scale of its input."""
    x, w = s.round(normal("scale", 3, 9)), s.round(normal("scale.w", 9))
    for name, definition in (("rms_norm", norm.rms_norm), ("layer_norm", _no_bias)):
        limit = s.budgets(name, functools.partial(_apply_norm, definition=definition, x=x, w=w))
        for factor in (1.0, 2.0**10, 2.0**-10):
            f: Any = getattr(s.ops, name)
            rest = (1e-30,) if name == "rms_norm" else (None, 1e-30)
            got = f(s.array(x * factor), s.array(w), *rest)
            s.judge(f"{name} of {factor}·x", s.host(got), limit[0])


def _apply_norm(ar: Any, *, definition: Any, x: Host, w: Host) -> Host:
    return definition(ar, ar.constant(x), ar.constant(w), 1e-30)


def _no_bias(ar: Any, x: Host, w: Host, eps: float) -> Host:
    return norm.layer_norm(ar, x, w, None, eps)


def _parts() -> list[Host]:
    shapes = ((2, 4, 5, 3), (2, 2, 5, 3), (2, 2, 5, 6))
    return [normal(f"law.{i}", *shape) for i, shape in enumerate(shapes)]


def _attend(s: Subject, parts: list[Host], mask: Host, scale: float = 0.6) -> Host:
    q, k, v = s.arrays(parts)
    return s.host(s.ops.attention(q, k, v, None if mask is None else s.array(mask), scale=scale))


def _limit(s: Subject, parts: list[Host], mask: Host) -> Any:
    hosts = s.round(parts)

    def formula(ar: Any) -> Host:
        q, k, v = map(ar.constant, hosts)
        return attention.attention(ar, q, k, v, mask, scale=0.6)

    return s.budgets("output", formula)[0]


@case(level="operations", id="law.attention_causality", rows=(1, 3))
def causality(s: Subject) -> None:
    """Changing a later key or value does not change an earlier output by a single bit."""
    parts, where = _parts(), np.array([range(5)] * 2)
    mask = attention.visible(where, where, causal=True)
    before = _attend(s, parts, mask)
    for i in range(1, 5):
        changed = [parts[0], parts[1].copy(), parts[2].copy()]
        changed[1][:, :, i] += 7.0
        changed[2][:, :, i] -= 5.0
        after = _attend(s, changed, mask)
        s.equal(f"outputs before {i}", after[:, :, :i], before[:, :, :i])
        moved = bool((after[:, :, i] != before[:, :, i]).any())
        s.demand(f"output {i} moves", expected=True, got=moved)


@case(level="operations", id="law.attention_permutation")
def permutation(s: Subject) -> None:
    """Permuting keys and values changes nothing; permuting queries permutes outputs."""
    parts, order = _parts(), np.array([3, 0, 4, 1, 2])
    limit = _limit(s, parts, None)
    keys = [parts[0], parts[1][:, :, order], parts[2][:, :, order]]
    s.judge("permuted keys", _attend(s, keys, None), limit)
    queries = [parts[0][:, :, order], parts[1], parts[2]]
    back = np.argsort(order)
    s.judge("permuted queries", _attend(s, queries, None)[:, :, back], limit)


@case(level="operations", id="law.attention_batch_order")
def batch_order(s: Subject) -> None:
    """The rows of a batch do not affect each other."""
    parts = _parts()
    limit = _limit(s, parts, None)
    swapped = [x[::-1] for x in parts]
    s.judge("swapped", _attend(s, swapped, None)[::-1], limit)


@case(level="operations", id="law.attention_of_equal_keys")
def equal_keys(s: Subject) -> None:
    """Where all visible keys are equal, the output is the mean of the visible values."""
    q, k, v = _parts()
    k = np.broadcast_to(k[:, :, :1], k.shape).copy()
    mask = np.zeros((2, 1, 5, 5), bool)
    mask[..., :4] = True
    hosts = s.round(v)
    limit = s.budgets("mean", lambda ar: _mean(ar, hosts))[0]
    s.judge("mean", _attend(s, [q, k, v], mask), limit)


def _mean(ar: Any, v: Host) -> Host:
    means = ar.mean(ar.constant(v[:, :, :4]), 2, keepdims=True)
    grouped = np.repeat(means, 2, axis=1)
    return np.broadcast_to(grouped, (2, 4, 5, 6))


@case(level="operations", id="law.linear_is_linear")
def linearity(s: Subject) -> None:
    """A row's output does not depend on the other rows of the batch."""
    x, w = s.round(normal("linearity", 9, 21)), s.round(normal("linearity.w", 13, 21))
    limit = s.budgets("rows", lambda ar: norm.linear(ar, ar.constant(x), ar.constant(w)))[0]
    s.judge("together", s.host(s.ops.linear(s.array(x), s.array(w))), limit)
    rows = [s.host(s.ops.linear(s.array(row[None]), s.array(w))) for row in x]
    s.judge("one by one", np.concatenate(rows), limit)
