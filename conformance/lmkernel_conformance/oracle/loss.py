"""Loss functions."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.activation import log_softmax
from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["cross_entropy", "ctc", "mse", "soft_cross_entropy"]

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
