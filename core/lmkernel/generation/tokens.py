"""From prompts to tokens, a step at a time, for rows of unequal length.

Constraints: rows are padded on the left, with position -1; a row that has ended is padding.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import InputError
from lmkernel.generation.sampling import sample

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Tree
    from lmkernel.generation.options import GenerationOptions
    from lmkernel.interfaces import Memory
    from lmkernel.model import Model

__all__ = ["generate_tokens"]

_CHUNK = 512
"""Longer prompts are fed in chunks of so many tokens, which bounds the memory of their scores."""


def generate_tokens(
    model: Model,
    params: Tree,
    prompts: Sequence[Sequence[int]],
    options: GenerationOptions,
    *,
    end_ids: Collection[int] = (),
    memory: Memory | None = None,
) -> Iterator[list[int | None]]:
    """Yield one token for each row at each step; None for a row that has ended.

    The token that ends a row is yielded too. Each row ends at one of ``end_ids`` or of
    ``options.stop_ids``, after ``max_new_tokens``, or where the context is full.

    Args:
        model: with a decoder.
        params: from `Model.pack` or `Model.place`.
        prompts: token ids of each row, at least one each.
        options: how to choose.
        end_ids: the model's own end, unless ``options.ignore_eos``.
        memory: what an encoder made of each row's source.

    Raises:
        InputError: an empty prompt, or one that fills the context.
    """
    tokens, positions = _left_padded(prompts)
    limit = _limit(model, prompts, options)
    stops = _stops(tokens.shape[1])
    slots = sum(model.slots(end - begin) for begin, end in pairwise(stops))
    state = model.begin(params, len(prompts), slots + limit, memory=memory)
    logits: NDArray[Any] = np.empty(0)
    for begin, end in pairwise(stops):
        logits, state = model.step(params, tokens[:, begin:end], positions[:, begin:end], state)
    ends = set(options.stop_ids) | (set() if options.ignore_eos else set(end_ids))
    histories = [list(prompt) for prompt in prompts]
    alive = [True] * len(prompts)
    for step in range(limit):
        chosen = _choose(logits, histories, alive, options, step)
        yield chosen
        alive = [token is not None and token not in ends for token in chosen]
        if not any(alive) or step + 1 == limit:
            return
        tokens, positions = _next(chosen, alive, histories)
        logits, state = model.step(params, tokens, positions, state)


def _left_padded(
    prompts: Sequence[Sequence[int]],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise InputError("expected a prompt of at least one token for each row, got an empty one")
    longest = max(len(prompt) for prompt in prompts)
    tokens = np.zeros((len(prompts), longest), np.int32)
    positions = np.full((len(prompts), longest), -1, np.int32)
    for row, prompt in enumerate(prompts):
        tokens[row, longest - len(prompt) :] = prompt
        positions[row, longest - len(prompt) :] = np.arange(len(prompt))
    return tokens, positions


def _limit(model: Model, prompts: Sequence[Sequence[int]], options: GenerationOptions) -> int:
    """How many tokens there is room for."""
    context, longest = model.config.context, max(len(prompt) for prompt in prompts)
    if not context:
        return options.max_new_tokens
    if longest > context:
        raise InputError(
            f"the prompt has {longest} tokens, the model's context only {context}; shorten it"
        )
    return min(options.max_new_tokens, context - longest + 1)


def _stops(length: int) -> list[int]:
    """Where chunks begin and end; the first is the odd one, so that the others share one shape."""
    return [*range(length, 0, -_CHUNK), 0][::-1]


def _choose(
    logits: NDArray[Any],
    histories: list[list[int]],
    alive: list[bool],
    options: GenerationOptions,
    step: int,
) -> list[int | None]:
    chosen: list[int | None] = []
    for row, (history, goes_on) in enumerate(zip(histories, alive, strict=True)):
        token = None
        if goes_on:
            token = sample(logits[row], options, history=history, row=row, step=step)
            history.append(token)
        chosen.append(token)
    return chosen


def _next(
    chosen: list[int | None], alive: list[bool], histories: list[list[int]]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    tokens = [token if token is not None else 0 for token in chosen]
    positions = [len(h) - 1 if ok else -1 for h, ok in zip(histories, alive, strict=True)]
    return np.array(tokens, np.int32)[:, None], np.array(positions, np.int32)[:, None]
