"""Greedy decoding that keeps its logits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.generation.answers import encoded_rows
from lmkernel.generation.decoding import decode
from lmkernel.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel

__all__ = ["Answer", "decode_greedily"]


@final
@dataclass(frozen=True)
class Answer:
    """One answer.

    Args:
        tokens: the ids, the ending one included.
        logits: ``(steps, vocab)``, from which each was taken.
        seconds: the time taken by the tokens after the first.
    """

    tokens: tuple[int, ...]
    logits: NDArray[Any]
    seconds: float


def decode_greedily(
    loaded: LanguageModel,
    prompt: Sequence[int],
    steps: int,
    *,
    follow: Sequence[int] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> Answer:
    """Up to ``steps`` tokens after a prompt's, through the KV cache.

    Args:
        loaded: the model.
        prompt: token ids.
        steps: the most tokens; fewer where the context has no room for them.
        follow: tokens to feed in place of the model's own choices, as long as they last.
        advance: called with 1 for each token, at the end with the number of those that were not
            needed.
    """

    def choose(logits: NDArray[Any], *, history: Sequence[int], row: int, step: int) -> int:
        del history, row
        return follow[step] if step < len(follow) else int(np.argmax(logits))

    ends = set(loaded.end_ids)
    chosen: list[int | None] = []
    kept: list[NDArray[Any]] = []
    rows, memory = encoded_rows(loaded, [Prompt(list(prompt))])
    begun = time.perf_counter()
    for step in decode(
        loaded.model,
        loaded.params,
        rows,
        limit=steps,
        choose=choose,
        ends=lambda _, token: token in ends,
        memory=memory,
    ):
        if not kept:  # what comes before the first token is the prompt's time
            begun = time.perf_counter()
        kept.append(step.logits[0])
        chosen += step.tokens
        advance(1)
    seconds = time.perf_counter() - begun
    advance(steps - len(kept))
    tokens = tuple(token for token in chosen if token is not None)
    return Answer(tokens, np.stack(kept), seconds)
