"""Sampling: from logits to a distribution, and from a uniform draw to a token."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["distribution", "pick"]


def distribution(
    logits: Sequence[float],
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> list[float]:
    """The probability of each token; 0 for those that the filters leave out.

    Args:
        logits: the logits of one step.
        temperature: what logits are divided by.
        top_k: the number of most probable tokens that stay; 0 keeps all. Ties go to the lower id.
        top_p: the share that the smallest set of most probable tokens must reach
            (arXiv:1904.09751), counted among those that ``top_k`` leaves.
        min_p: the least probability that stays, relative to the largest (arXiv:2407.01082).
    """
    top = max(logits)
    powers = [math.exp((x - top) / temperature) for x in logits]
    order = sorted(range(len(logits)), key=lambda i: (-powers[i], i))
    order = order[:top_k] if top_k else order
    total, before, kept = math.fsum(powers[i] for i in order), 0.0, []
    # ``before`` is the mass of all larger ones: the token that crosses top_p belongs to the set, so
    # the set is never empty.
    for i in order:
        if before < top_p * total and powers[i] >= min_p * powers[order[0]]:
            kept.append(i)
        before += powers[i]
    mass = math.fsum(powers[i] for i in kept)
    return [powers[i] / mass if i in kept else 0.0 for i in range(len(logits))]


def pick(probabilities: Sequence[float], draw: float) -> int:
    """The first token, by id, at which the cumulative probability exceeds the draw.

    Args:
        probabilities: the probability of each token.
        draw: a number in [0, 1).
    """
    reached = 0.0
    for token, probability in enumerate(probabilities):
        reached += probability
        if draw < reached:
            return token
    # Rounding can leave the total just below 1, and the draw above it.
    return max(i for i, p in enumerate(probabilities) if p > 0)
