"""The one decoding loop: prompts into the KV cache, then a token for each row at each step.

Constraints: rows are padded on the left, with position -1, so that the last column is always each
row's newest token; a row that has ended is fed padding from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, final

import numpy as np

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Tree
    from lmkernel.generation.lookup import PromptLookup
    from lmkernel.interfaces import Memory
    from lmkernel.model import Model
    from lmkernel.model.state import DecodingState

__all__ = [
    "ROOM",
    "Step",
    "chunk_borders",
    "decode",
    "next_column",
    "pad_rows",
    "prefill",
    "room",
    "with_room",
]

_CHUNK = 512
"""Longer prompts are fed in chunks of this many tokens, which bounds the memory of the scores."""
ROOM = 4096
"""Slots of the KV cache for answers whose end nobody knows; more are added as they fill."""


@final
@dataclass(frozen=True)
class Step:
    """The result of one step.

    Args:
        tokens: the new token of each row; None for a row that has ended.
        logits: the logits ``(rows, vocab)`` from which they were chosen.
    """

    tokens: list[int | None]
    logits: NDArray[Any]


class Choose(Protocol):
    """Chooses a row's next token from its logits ``(vocab,)``."""

    def __call__(
        self, logits: NDArray[Any], /, *, history: Sequence[int], row: int, step: int
    ) -> int:
        """The token; ``history`` is the prompt and all that came after it."""
        ...


def decode(
    model: Model,
    params: Tree,
    prompts: Sequence[Sequence[int]],
    *,
    limit: int,
    choose: Choose,
    ends: Callable[[int, int], bool],
    memory: Memory | None = None,
    lookup: PromptLookup | None = None,
) -> Iterator[Step]:
    """Yield steps until every row has ended; the token that ends a row is yielded too.

    Args:
        model: a model with a decoder.
        params: its parameters, from `Model.pack` or `Model.place`.
        prompts: token ids of each row, at least one each.
        limit: the most tokens a row; fewer where the context has no room for them, for each row
            by itself.
        choose: the function that chooses each token.
        ends: tells, from a row's number and its newest token, whether the row ends there.
        memory: each row's encoded source, for an encoder-decoder.
        lookup: guesses tokens, and feeds several at once; by default each is fed by itself.

    Raises:
        InputError: an empty prompt, or one that is longer than the context.
    """
    begun = prefill(model, params, prompts, limit=limit, memory=memory)
    logits, state, limits = begun.logits, begun.state, begun.limits
    histories = [list(prompt) for prompt in prompts]
    alive = [True] * len(prompts)
    for step in range(max(limits)):
        chosen = [
            choose(logits[row], history=history, row=row, step=step) if alive[row] else None
            for row, history in enumerate(histories)
        ]
        # the caller has the tokens before the next step begins, and may stop asking for more
        yield Step(chosen, logits)
        alive = [
            t is not None and not ends(row, t) and step + 1 < limits[row]
            for row, t in enumerate(chosen)
        ]
        # what would follow the last token is never asked for, so its step is not computed
        if not any(alive):
            return
        for history, token in zip(histories, chosen, strict=True):
            if token is not None:
                history.append(token)
        tokens, positions = next_column(chosen, alive, histories)
        state = with_room(model, state, begun.slots)
        if lookup is None:
            logits, state = model.step(params, tokens, positions, state)
        else:
            logits, state = lookup.step(tokens, positions, histories, state)


@final
@dataclass(frozen=True)
class Prefilled:
    """Prompts in the KV cache.

    Args:
        logits: of what follows each row, ``(rows, vocab)``.
        state: the state after them.
        limits: the most tokens that may follow each row.
        slots: of the KV cache, if every row takes its limit.
    """

    logits: NDArray[Any]
    state: DecodingState
    limits: list[int]
    slots: int


def with_room(model: Model, state: DecodingState, most: int) -> DecodingState:
    """The state (consumed) with room for one more position.

    It grows up to ``most`` slots. A full cache becomes twice as large, so that all copying together
    is no more than its size.
    """
    if state.used < state.capacity or state.capacity >= most:
        return state
    return model.grow(state, min(2 * state.capacity, most))


def prefill(
    model: Model,
    params: Tree,
    prompts: Sequence[Sequence[int]],
    *,
    limit: int,
    memory: Memory | None = None,
) -> Prefilled:
    """Feed prompts to a fresh state; arguments as of `decode`."""
    tokens, positions = pad_rows(prompts)
    limits = [room(model, len(prompt), limit) for prompt in prompts]
    borders = chunk_borders(tokens.shape[1])
    # what answers usually take is asked for now, so that the KV cache grows for long ones alone
    # (padding of compiled shapes takes slots, too)
    slots = sum(model.slots(end - begin) for begin, end in pairwise(borders))
    first = slots + min(max(limits), ROOM)
    state = model.begin(params, len(prompts), first, memory=memory)
    logits: NDArray[Any] = np.empty(0)
    # prefill: only the last chunk's logits are used, which are those of each row's last token
    for begin, end in pairwise(borders):
        logits, state = model.step(params, tokens[:, begin:end], positions[:, begin:end], state)
    return Prefilled(logits, state, limits, slots + max(limits))


def pad_rows(
    prompts: Sequence[Sequence[int]],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tokens and positions of rows ``(rows, time)``, padded on the left."""
    if not len(prompts) or not all(len(prompt) for prompt in prompts):
        raise InputError("expected a prompt of at least one token for each row, got an empty one")
    longest = max(len(prompt) for prompt in prompts)
    tokens = np.zeros((len(prompts), longest), np.int32)
    positions = np.full((len(prompts), longest), -1, np.int32)
    for row, prompt in enumerate(prompts):
        tokens[row, longest - len(prompt) :] = prompt
        positions[row, longest - len(prompt) :] = np.arange(len(prompt))
    return tokens, positions


def room(model: Model, length: int, limit: int) -> int:
    """How many tokens a row of a length has room for, a limit at most.

    The last one needs no slot, as nothing follows it.
    """
    context = model.config.context
    if not context:
        return limit
    if length > context:
        raise InputError(
            f"the prompt has {length} tokens, the model's context only {context}; shorten it"
        )
    return min(limit, context - length + 1)


def chunk_borders(length: int, size: int = _CHUNK) -> list[int]:
    """Where chunks begin and end; the first is the odd one, so that the others share one shape."""
    return [*range(length, 0, -size), 0][::-1]


def next_column(
    chosen: Sequence[int | None], alive: Sequence[bool], histories: Sequence[Sequence[int]]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Each row's newest token and its position, ``(rows, 1)`` both; padding for those that ended.

    Args:
        chosen: the newest token of each row.
        alive: whether the row goes on.
        histories: all tokens of each row, the newest included.
    """
    # an ended row is still fed, as position -1: rows that come and go would change the shapes
    tokens = [token if token is not None else 0 for token in chosen]
    positions = [len(h) - 1 if ok else -1 for h, ok in zip(histories, alive, strict=True)]
    return np.array(tokens, np.int32)[:, None], np.array(positions, np.int32)[:, None]
