"""Greedy decoding that keeps its logits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel

__all__ = ["Decoded", "decode_greedily"]


@final
@dataclass(frozen=True)
class Decoded:
    """One answer.

    Args:
        tokens: the ids, the ending one included.
        logits: ``(steps, vocab)``, from which each was taken.
        seconds: for the tokens after the first.
    """

    tokens: tuple[int, ...]
    logits: NDArray[Any]
    seconds: float


def decode_greedily(
    loaded: LanguageModel, prompt: Sequence[int], steps: int, *, follow: Sequence[int] = ()
) -> Decoded:
    """Up to ``steps`` tokens after a prompt's, through the cache.

    Args:
        loaded: the model.
        prompt: token ids.
        steps: at most so many, and no more than the context holds.
        follow: instead of its own choices the model is fed these, as long as they last.
    """
    model, params, ends = loaded.model, loaded.params, set(loaded.end_ids)
    if model.config.context:
        steps = min(steps, model.config.context - len(prompt) + 1)
    state = model.begin(params, 1, model.slots(len(prompt)) + steps)
    tokens, positions = np.array([prompt], np.int32), np.arange(len(prompt), dtype=np.int32)[None]
    chosen: list[int] = []
    kept: list[NDArray[Any]] = []
    begun = time.perf_counter()
    while True:
        logits, state = model.step(params, tokens, positions, state)
        if not chosen:
            begun = time.perf_counter()
        kept.append(logits[0])
        best = int(np.argmax(logits[0]))
        chosen.append(follow[len(chosen)] if len(chosen) < len(follow) else best)
        if len(chosen) == steps or chosen[-1] in ends:
            break
        tokens = np.array([[chosen[-1]]], np.int32)
        positions = np.array([[len(prompt) + len(chosen) - 1]], np.int32)
    return Decoded(tuple(chosen), np.stack(kept), time.perf_counter() - begun)
