"""Loss functions."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.activation import log_softmax
from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "ctc",
    "mse",
    "soft_cross_entropy",
    "span_cross_entropy",
]

Host = Any


def mse(ar: Arithmetic, prediction: Host, target: Host) -> Host:
    """The mean of the squared differences of all elements."""
    difference = ar.reshape(prediction - target, (-1,))
    return ar.mean(difference * difference, 0)


def cross_entropy(ar: Arithmetic, logits: Host, targets: Host, smoothing: float = 0.0) -> Host:
    """Cross-entropy against (1 - s)·one-hot + s/classes (arXiv:1512.00567, §7); 0 where ignored."""
    classes = raw(logits).shape[-1]
    hit = np.maximum(targets, 0)[..., None] == np.arange(classes)
    wanted = hit * (1 - smoothing) + smoothing / classes
    losses = soft_cross_entropy(ar, logits, ar.constant(wanted))
    return ar.where(np.asarray(targets) >= 0, losses, 0.0)


def soft_cross_entropy(ar: Arithmetic, logits: Host, target: Host) -> Host:
    """-Σ target · log softmax(logits) over the last axis."""
    return -ar.sum(target * log_softmax(ar, logits), -1)


def ctc(ar: Arithmetic, logits: Host, labels: tuple[int, ...], blank: int) -> Host:
    """-log of the probability of labels, summed over every path that says them.

    Source: Graves et al. 2006, "Connectionist temporal classification", eq. 3. A path says what is
    left of it when repeated classes are said once and blanks not at all.

    Args:
        ar: the arithmetic.
        logits: ``(steps, classes)`` of few steps, since all paths are tried.
        labels: one at least, that fit into so many steps.
        blank: the class that says nothing.
    """
    steps, classes = raw(logits).shape
    paths = [
        path
        for path in itertools.product(range(classes), repeat=steps)
        if tuple(k for k, _ in itertools.groupby(path) if k != blank) == labels
    ]
    hit = np.eye(classes)[np.array(paths)].reshape(len(paths), steps * classes)
    logs = ar.reshape(log_softmax(ar, logits), (1, steps * classes))
    return -ar.log(ar.sum(ar.exp(ar.sum(logs * ar.constant(hit), -1)), -1))


def span_cross_entropy(ar: Arithmetic, scores: Host, targets: Host) -> Host:
    """-log softmax over time of each side of a span, ``(batch, time, sides) -> (batch, sides)``.

    A target is 1 where the side is, and negative where it cannot be, which takes no part. A side
    that is nowhere costs nothing.
    """
    possible, hit = np.asarray(targets) >= 0, np.asarray(targets) > 0
    some = possible.any(1, keepdims=True)
    top = np.where(possible, raw(scores), -np.inf).max(1, keepdims=True)
    shifted = ar.where(possible, scores - np.where(some, top, 0.0), 0.0)
    whole = ar.sum(ar.where(possible, ar.exp(shifted), 0.0), 1, keepdims=True)
    logs = shifted - ar.log(ar.where(some, whole, 1.0))
    return -ar.sum(ar.where(hit, logs, 0.0), 1)


def binary_cross_entropy(ar: Arithmetic, logits: Host, targets: Host) -> Host:
    """-log σ(y) where a target is 1, -log(1 - σ(y)) where it is 0; 0 where it is negative."""
    signed = ar.where(np.asarray(targets) > 0, -logits, logits)
    # log(1 + exp(v)), by an exponential that cannot overflow
    magnitude = ar.where(raw(signed) < 0, -signed, signed)
    losses = ar.where(raw(signed) > 0, signed, 0.0) + ar.log(1.0 + ar.exp(-magnitude))
    return ar.where(np.asarray(targets) >= 0, losses, 0.0)
