"""How likely a token is under the model, whatever the options that chose it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["log_prob"]


def log_prob(logits: NDArray[Any], token: int) -> float:
    """The natural log-probability of a token under ``logits (vocab,)``.

    The exponentials are in the dtype of the logits, whose own error is no smaller; their sum is in
    float64.
    """
    shifted = logits - logits.max()
    return float(shifted[token]) - float(np.log(np.exp(shifted).sum(dtype=np.float64)))
