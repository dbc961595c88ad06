"""What may be written next: tokens that are forbidden where they would stand, or the only ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.generation.sampling import penalise

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.generation.options import GenerationOptions
    from lmkernel.generation.requests import Adjust

__all__ = ["Constraints"]


@final
class Constraints:
    """The options that forbid tokens or force them, as transformers' processors do.

    Args:
        options: of the generation.
        end_ids: tokens that end a row.
        adjust: what else changes scores, after the options; or None.
    """

    def __init__(
        self,
        options: GenerationOptions,
        end_ids: Collection[int] = (),
        adjust: Adjust | None = None,
    ) -> None:
        self._options, self._adjust = options, adjust
        self._ends = sorted(end_ids)
        self._first = _ids(options.forced_bos_token_id)
        self._last = _ids(options.forced_eos_token_id)
        # a word that is the end itself is what an answer ends with, not what it says
        self._words = [w for w in options.bad_words_ids if len(w) > 1 or w[0] not in end_ids]

    def __bool__(self) -> bool:
        """Whether they change anything."""
        o = self._options
        limits = o.no_repeat_ngram_size or (o.min_new_tokens and self._ends)
        return bool(limits or self._words or self._first or self._last or self._adjust)

    def apply(
        self, scores: NDArray[Any], history: Sequence[int], *, step: int, limit: int
    ) -> NDArray[Any]:
        """Scores ``(vocab,)`` with minus infinity where a token may not stand.

        Args:
            scores: logits, or log-probabilities.
            history: the prompt and all that was written after it.
            step: number of tokens written.
            limit: the most that are.

        Raises:
            InputError: no token is left.
        """
        if not self:
            return scores
        forced = self._first if len(history) == 1 else ()
        forced = self._last if self._last and step + 1 == limit else forced
        if forced:
            only = np.full_like(scores, -np.inf)
            only[list(forced)] = 0
            return only
        changed = scores.copy()
        changed[list(self._forbidden(history, step))] = -np.inf
        if self._adjust is not None:
            changed = self._adjust(changed, history[len(history) - step :])
        if not np.isfinite(changed.max()) and np.isfinite(scores.max()):
            raise InputError(f"expected a token that may be written at step {step}, got none")
        return changed

    def with_penalty(self, scores: NDArray[Any], history: Sequence[int]) -> NDArray[Any]:
        """Scores after the penalty of tokens that came before."""
        penalty = self._options.repetition_penalty
        if penalty == 1:
            return scores
        changed = scores.copy()
        penalise(changed, history, penalty)
        return changed

    def _forbidden(self, history: Sequence[int], step: int) -> Iterator[int]:
        if step < self._options.min_new_tokens:
            yield from self._ends
        yield from _repeating(history, self._options.no_repeat_ngram_size)
        for *before, last in self._words:
            # transformers looks for a word only where all of it could have been written
            fits = not before or len(before) < len(history)
            if fits and list(history[len(history) - len(before) :]) == before:
                yield last


def _ids(given: int | Sequence[int]) -> tuple[int, ...]:
    return (given,) if isinstance(given, int) else tuple(given)


def _repeating(history: Sequence[int], size: int) -> Iterator[int]:
    """The tokens that would end a run of so many tokens that is there already."""
    if not size or len(history) < size:
        return
    last = list(history[len(history) - size + 1 :]) if size > 1 else []
    for at in range(len(history) - size + 1):
        if list(history[at : at + size - 1]) == last:
            yield history[at + size - 1]
