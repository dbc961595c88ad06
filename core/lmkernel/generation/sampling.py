"""From logits to a token, on the host in float64, with draws that every backend shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import InputError
from lmkernel.random import uniforms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.generation.options import GenerationOptions

__all__ = ["draw", "penalise", "sample"]


def draw(seed: int, row: int, step: int) -> float:
    """The uniform number in [0, 1) of one row and step; the same on every backend."""
    return float(uniforms(seed, f"sample.{row}.{step}", 1)[0])


def sample(
    logits: NDArray[Any],
    options: GenerationOptions,
    *,
    history: Sequence[int] = (),
    row: int = 0,
    step: int = 0,
) -> int:
    """One token of ``logits (vocab,)``.

    Penalty, temperature, top-k, top-p and min-p are applied in this order; then the draw picks
    from the cumulative distribution in the order of token ids. Ties of the largest logit go to
    the lowest id.

    Raises:
        InputError: the largest logit is NaN or infinite.
    """
    best = int(np.argmax(logits))  # of NaN, if there is any
    if not np.isfinite(logits[best]):
        raise InputError(f"expected finite logits at step {step}, row {row}; got NaN or infinity")
    if options.temperature == 0 and options.repetition_penalty == 1:
        return best
    scores = logits.astype(np.float64)
    if options.repetition_penalty != 1:
        penalise(scores, history, options.repetition_penalty)
    if options.temperature == 0:
        return int(np.argmax(scores))
    probabilities = _softmax(scores, options.temperature)
    # the sum of what may be drawn scales the draw, which saves a second normalisation
    kept = _candidates(probabilities, options)
    cumulative = np.cumsum(np.where(kept, probabilities, 0.0))
    target = draw(options.seed, row, step) * cumulative[-1]
    return int(np.searchsorted(cumulative, target, side="right"))


def penalise(scores: NDArray[np.float64], history: Sequence[int], penalty: float) -> None:
    """Make tokens that came before less likely, in place; see `GenerationOptions`."""
    seen = np.unique(np.asarray(history, dtype=np.int64))
    old = scores[seen]
    scores[seen] = np.where(old > 0, old / penalty, old * penalty)


def _softmax(scores: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    # a quotient beyond float64 is minus infinity, whose power is 0, as in the limit of cold
    with np.errstate(over="ignore"):
        powers = np.exp((scores - scores.max()) / temperature)
    normalised: NDArray[np.float64] = powers / powers.sum()
    return normalised


def _candidates(
    probabilities: NDArray[np.float64], options: GenerationOptions
) -> NDArray[np.bool_]:
    """Which tokens may be drawn; at least the most probable one."""
    kept = np.ones(len(probabilities), dtype=bool)
    order = np.argsort(-probabilities, kind="stable")
    if options.top_k:
        kept[order[options.top_k :]] = False
    if options.top_p < 1:
        ordered = np.where(kept[order], probabilities[order], 0.0)
        # a token stays while those before it have not reached p, so the one that reaches it stays
        # too
        before = np.cumsum(ordered) - ordered
        kept[order[before >= options.top_p * ordered.sum()]] = False
    if options.min_p:
        kept &= probabilities >= options.min_p * probabilities[order[0]]
    return kept
