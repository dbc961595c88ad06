"""Beam search: several beginnings of an answer side by side, and the best of those that ended.

Constraint: the answer is the one that transformers' ``generate`` gives, token for token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.generation.constraints import Constraints
from lmkernel.generation.decoding import next_column, prefill, with_room
from lmkernel.model.state import chosen_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Tree
    from lmkernel.generation.options import GenerationOptions
    from lmkernel.generation.requests import Adjust
    from lmkernel.interfaces import Memory
    from lmkernel.model import Model

__all__ = ["beam_search"]

_HOPELESS = -1e9
"""Score of beams that are copies of the first one, and of what has not ended yet."""


@final
@dataclass(frozen=True)
class Beam:
    """A beginning of an answer, or all of one.

    Args:
        tokens: of the answer, the one that ends it included.
        log_probs: the natural log-probability of each under the model.
        score: the sum of those, of constrained ones, divided for the length where it ended.
    """

    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]
    score: float


def beam_search(
    model: Model,
    params: Tree,
    prompts: Sequence[Sequence[int]],
    options: GenerationOptions,
    *,
    end_ids: Collection[int] = (),
    memory: Memory | None = None,
    adjust: Adjust | None = None,
) -> list[Beam]:
    """The best answer to each prompt, with ``options.num_beams`` beams.

    Args:
        model: a model with a decoder.
        params: its parameters, from `Model.pack` or `Model.place`.
        prompts: token ids of each row, at least one each.
        options: of the generation.
        end_ids: all tokens that end an answer.
        memory: each row's encoded source, for an encoder-decoder.
        adjust: what else changes the log-probabilities of the next token; or None.

    Raises:
        InputError: an empty prompt, one that fills the context, or logits that are NaN.
    """
    count = options.num_beams
    begun = prefill(model, params, prompts, limit=options.max_new_tokens, memory=memory)
    constraints = Constraints(options, end_ids, adjust)
    searches = [
        _Search(prompt, limit, options, frozenset(end_ids), constraints)
        for prompt, limit in zip(prompts, begun.limits, strict=True)
    ]
    # a prompt is read once; its beams begin as copies of its row
    rows = [row for row in range(len(prompts)) for _ in range(count)]
    state = chosen_rows(model.backend, begun.state, rows)
    logits = begun.logits[rows]
    while True:
        parents = [*range(len(rows))]
        for number, search in enumerate(searches):
            if not search.done:
                first = number * count
                found = search.advance(logits[first : first + count])
                parents[first : first + count] = [first + parent for parent in found]
        if all(search.done for search in searches):
            return [search.best for search in searches]
        if parents != [*range(len(rows))]:
            state = chosen_rows(model.backend, state, parents)
        alive = [not searches[row].done for row in rows]
        histories = [h for search in searches for h in search.histories]
        newest = [history[-1] for history in histories]
        state = with_room(model, state, begun.slots)
        logits, state = model.step(params, *next_column(newest, alive, histories), state)


@final
class _Search:
    """The beams of one prompt."""

    def __init__(
        self,
        prompt: Sequence[int],
        limit: int,
        options: GenerationOptions,
        ends: frozenset[int],
        constraints: Constraints,
    ) -> None:
        self._prompt, self._limit, self._options = [*prompt], limit, options
        self._ends, self._constraints = ends, constraints
        count = options.num_beams
        self._running = [Beam((), (), _HOPELESS if i else 0.0) for i in range(count)]
        self._ended: list[Beam] = []
        self._step = 0
        self.done = False

    @property
    def histories(self) -> list[list[int]]:
        """The prompt and all tokens after it, of each beam."""
        return [[*self._prompt, *beam.tokens] for beam in self._running]

    @property
    def best(self) -> Beam:
        """The answer."""
        return (self._ended or self._running)[0]

    def advance(self, logits: NDArray[Any]) -> list[int]:
        """Go on by one token, given ``(beams, vocab)``; the beam that each new one goes on from."""
        count = len(self._running)
        found = self._continuations(logits)
        self._step += 1
        whole = self._step == self._limit
        ending = [whole or beam.tokens[-1] in self._ends for _, beam in found]
        # those past the first ones are there to replace beams that end, and may not end themselves
        self._keep(beam for (_, beam), ends in zip(found[:count], ending, strict=False) if ends)
        going = [one for one, ends in zip(found, ending, strict=True) if not ends][:count]
        self.done = whole or self._is_finished(going[0][1].score)
        if self.done:
            return [*range(count)]
        self._running = [beam for _, beam in going]
        return [parent for parent, _ in going]

    def _continuations(self, logits: NDArray[Any]) -> list[tuple[int, Beam]]:
        """The best continuations of all beams, best first, each with the beam that it continues."""
        plain = _log_softmax(logits)
        totals = np.stack(
            [
                beam.score + self._constrain(scores, history)
                for beam, scores, history in zip(self._running, plain, self.histories, strict=True)
            ]
        ).reshape(-1)
        # each beam may end in each of the ends, and there must be others to go on with
        wanted = max(2, 1 + len(self._ends)) * len(self._running)
        chosen = _largest(totals, min(wanted, len(totals)))
        vocab = plain.shape[1]
        return [
            (parent, self._extend(parent, token, plain[parent, token], totals[at]))
            for at in chosen
            for parent, token in (divmod(int(at), vocab),)
        ]

    def _constrain(self, scores: NDArray[np.float64], history: list[int]) -> NDArray[np.float64]:
        scores = self._constraints.with_penalty(scores, history)
        return self._constraints.apply(scores, history, step=self._step, limit=self._limit)

    def _extend(self, parent: int, token: int, log_prob: float, score: float) -> Beam:
        beam = self._running[parent]
        return Beam((*beam.tokens, token), (*beam.log_probs, float(log_prob)), float(score))

    def _keep(self, ended: Any) -> None:
        """The best of those that ended before and those that end now."""
        length: float = self._step**self._options.length_penalty
        scored = [Beam(b.tokens, b.log_probs, b.score / length) for b in ended]
        merged = [*self._ended, *(beam for beam in scored if beam.score > _HOPELESS)]
        merged.sort(key=lambda beam: -beam.score)
        self._ended = merged[: len(self._running)]

    def _is_finished(self, best: float) -> bool:
        """Whether nothing better is to be expected, given the score of the best running beam."""
        options = self._options
        if len(self._ended) < len(self._running):
            return False
        if options.early_stopping is True:
            return True
        longest = options.early_stopping == "never" and options.length_penalty > 0
        length: float = (self._limit if longest else self._step) ** options.length_penalty
        return best / length <= self._ended[-1].score


def _log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Natural log-probabilities ``(beams, vocab)``."""
    wide = logits.astype(np.float64)
    largest = wide.max(axis=-1, keepdims=True)
    if not np.isfinite(largest).all():
        raise InputError("expected finite logits for each beam; got NaN or infinity")
    shifted = wide - largest
    scores: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return scores


def _largest(scores: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Where the largest are, in their order; equal ones in the order in which they stand."""
    if count < len(scores):
        least = np.partition(scores, -count)[-count]
        there = np.flatnonzero(scores >= least)
    else:
        there = np.arange(len(scores))
    order: NDArray[np.intp] = there[np.argsort(-scores[there], kind="stable")][:count]
    return order
