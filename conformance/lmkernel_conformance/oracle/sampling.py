"""From logits to a distribution, and from a uniform draw to a token."""

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
    """Probabilities of the tokens that may be drawn, 0 for the others; they sum to 1.

    Largest first, ties by the lower id: the first ``top_k``; of those, the smallest set that
    reaches ``top_p`` of them (arXiv:1904.09751); and what has ``min_p`` of the largest
    (arXiv:2407.01082).
    """
    top = max(logits)
    powers = [math.exp((x - top) / temperature) for x in logits]
    order = sorted(range(len(logits)), key=lambda i: (-powers[i], i))
    order = order[:top_k] if top_k else order
    total, before, kept = math.fsum(powers[i] for i in order), 0.0, []
    for i in order:
        if before < top_p * total and powers[i] >= min_p * powers[order[0]]:
            kept.append(i)
        before += powers[i]
    mass = math.fsum(powers[i] for i in kept)
    return [powers[i] / mass if i in kept else 0.0 for i in range(len(logits))]


def pick(probabilities: Sequence[float], draw: float) -> int:
    """The first token, by id, at which the cumulative probability exceeds the draw."""
    reached = 0.0
    for token, probability in enumerate(probabilities):
        reached += probability
        if draw < reached:
            return token
    return max(i for i, p in enumerate(probabilities) if p > 0)
