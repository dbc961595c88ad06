"""What a transcript may go on with: no noise, and times in pairs that never go back.

Constraint: transformers' processors for Whisper forbid the same tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.speech.vocabulary import SpeechTokens

__all__ = ["SpeechRules"]


@final
class SpeechRules:
    """Changes scores before a token is chosen; see `lmkernel.generation.requests.Adjust`.

    Args:
        tokens: of the model.
        timestamps: whether times are written.
    """

    def __init__(self, tokens: SpeechTokens, *, timestamps: bool) -> None:
        self._tokens = tokens
        self._times = tokens.first_time if timestamps else None

    def __call__(self, scores: NDArray[Any], answer: Sequence[int], /) -> NDArray[Any]:
        """Scores ``(vocab,)`` with minus infinity where a token may not stand after an answer."""
        changed = scores.copy()
        if not answer:
            changed[list(self._tokens.first_suppressed)] = -np.inf
        changed[list(self._tokens.suppressed)] = -np.inf
        if self._times is not None:
            self._forbid_times(changed, answer, self._times)
        return changed

    def _forbid_times(self, scores: NDArray[Any], answer: Sequence[int], first: int) -> None:
        """In place: what the order of times forbids."""
        scores[first - 1] = -np.inf
        last = [token >= first for token in answer[-2:]]
        ends_in_time, pair = last[-1:] == [True], len(last) < 2 or last[0]  # noqa: PLR2004 - a pair
        if ends_in_time and pair:  # a part has begun, and something is said in it
            scores[first:] = -np.inf
        elif ends_in_time:  # a part has ended, and another begins, or nothing follows
            scores[: self._tokens.last_text] = -np.inf
        times = [token for token in answer if token >= first]
        if times:
            # the end of a part may be the beginning of the next; a part is not empty
            scores[first : times[-1] + (not ends_in_time or pair)] = -np.inf
        if not answer:
            scores[:first] = -np.inf
            if self._tokens.latest_first is not None:
                scores[first + self._tokens.latest_first + 1 :] = -np.inf
        _prefer_times(scores, first)


def _prefer_times(scores: NDArray[Any], first: int) -> None:
    """In place: a time is written where times together are likelier than any other token."""
    text, times = scores[:first].max(), scores[first:]
    loudest = times.max(initial=-np.inf)
    if not np.isfinite(loudest):
        return
    together = loudest + np.log(np.exp(times.astype(np.float64) - loudest).sum())
    if together > text:
        scores[:first] = -np.inf
