"""Loss functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.activation import log_softmax
from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["cross_entropy", "mse", "soft_cross_entropy"]

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
