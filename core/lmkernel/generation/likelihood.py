"""How likely tokens are under the model, whatever the options that chose them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Tree
    from lmkernel.model import Model

__all__ = ["log_prob", "log_probs_of", "position_logits"]

_CHUNK = 256
"""So many positions' logits are on the host at once."""


def log_prob(logits: NDArray[Any], token: int) -> float:
    """The natural log-probability of a token under ``logits (vocab,)``.

    The exponentials are in the dtype of the logits, whose own error is no smaller; their sum is in
    float64.
    """
    return float(logits[token] - logits.max()) - _log_sum(logits)


def log_probs_of(
    logits: NDArray[Any], token: int, most: int
) -> tuple[float, list[tuple[int, float]]]:
    """The `log_prob` of a token, and the ``most`` likeliest tokens with theirs, the best first."""
    shift, total = logits.max(), _log_sum(logits)
    most = min(most, len(logits))
    best = np.argpartition(-logits, most - 1)[:most] if most else np.empty(0, np.int64)
    # ties go to the lowest id, as where the likeliest token is chosen
    best = best[np.lexsort((best, -logits[best]))]
    likeliest = [(int(t), float(logits[t] - shift) - total) for t in best]
    return float(logits[token] - shift) - total, likeliest


def position_logits(
    model: Model, params: Tree, ids: Sequence[int], first: int
) -> Iterator[NDArray[Any]]:
    """The logits ``(vocab,)`` of each position of one row from ``first`` on, computed at once.

    Raises:
        InputError: the model has no decoder.
    """
    if model.decoder is None:
        raise InputError("expected a model with a decoder, got one without")
    backend = model.backend
    with backend.scope(), backend.inference():
        embedded = model.embed(params, backend.ops.asarray([list(ids)], "int32"))
        hidden = model.decoder(params["decoder"], embedded)
    for begin in range(first, len(ids), _CHUNK):
        part = slice(begin, min(begin + _CHUNK, len(ids)))
        with backend.scope(), backend.inference():
            output = model.output(params, hidden[:, part], embedded.positions[:, part])
            host = backend.ops.to_numpy(output)
        yield from host[0]


def _log_sum(logits: NDArray[Any]) -> float:
    """The logarithm of the sum of exponentials, beside the largest logit."""
    return float(np.log(np.exp(logits - logits.max()).sum(dtype=np.float64)))
