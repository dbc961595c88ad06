"""Beam search by its definition: beginnings side by side, and the best of those that ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

__all__ = ["NotClearError", "search"]

Host = Any
Found = "tuple[float, tuple[int, ...]]"


class NotClearError(ValueError):
    """Two scores lie so near to each other that rounding decides between them."""


def search(
    log_probs: Callable[[Sequence[int]], Host],
    prompt: Sequence[int],
    *,
    beams: int,
    limit: int,
    ends: Collection[int],
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    gap: float = 0.0,
) -> list[int]:
    """The best answer, as transformers' ``generate`` finds it.

    Args:
        log_probs: the log-probabilities ``(vocab,)`` of the token behind a row.
        prompt: what all rows begin with.
        beams: how many rows are gone on with.
        limit: the most tokens of an answer, at which it ends in any case.
        ends: tokens that end an answer.
        length_penalty: a score is the sum of log-probabilities divided by the length to this power.
        early_stopping: as of `lmkernel.generation.GenerationOptions`.
        gap: the least difference between two scores that are told apart.

    Raises:
        NotClearError: scores that are nearer, where one is chosen.
    """
    running: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    ended: list[tuple[float, tuple[int, ...]]] = []
    for length in range(1, limit + 1):
        found = [
            (score + float(more), (*tokens, token))
            for score, tokens in running
            for token, more in enumerate(log_probs([*prompt, *tokens]))
        ]
        found.sort(reverse=True)
        top = found[: max(2, 1 + len(ends)) * beams]
        _demand_gap([score for score, _ in found[: len(top) + 1]], gap)
        last = length == limit
        ended += [
            (score / length**length_penalty, tokens)
            for score, tokens in top[:beams]
            if last or tokens[-1] in ends
        ]
        ended = sorted(ended, reverse=True)[:beams]
        running = [one for one in top if one[1][-1] not in ends][:beams]
        if len(ended) == beams and not last:
            if early_stopping is True:
                break
            ahead = limit if early_stopping == "never" and length_penalty > 0 else length
            hope = running[0][0] / ahead**length_penalty
            _demand_gap([hope, ended[-1][0]], gap)
            if hope <= ended[-1][0]:
                break
    _demand_gap([score for score, _ in ended], gap)
    return list(ended[0][1])


def _demand_gap(scores: Sequence[float], gap: float) -> None:
    apart = np.abs(np.diff(scores))
    if len(apart) and apart.min() < gap:
        raise NotClearError(f"expected scores {gap:g} apart, got {apart.min():g}")
