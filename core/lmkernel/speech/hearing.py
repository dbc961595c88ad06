"""What a model writes of one window of a sound: greedy, drawn, or with beams, by the rules."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.generation.beams import beam_search
from lmkernel.generation.constraints import Constraints
from lmkernel.generation.decoding import decode
from lmkernel.generation.likelihood import log_prob
from lmkernel.generation.options import GenerationOptions
from lmkernel.generation.sampling import sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.interfaces import Memory
    from lmkernel.language_model import LanguageModel
    from lmkernel.speech.rules import SpeechRules
    from lmkernel.speech.vocabulary import SpeechTokens

__all__ = ["Heard", "Hearing", "compression_ratio"]


@final
@dataclass(frozen=True)
class Heard:
    """What was written of a window.

    Args:
        tokens: without what a transcript begins and ends with.
        log_prob: the mean natural log-probability of each token among those that may stand there,
            the one that ends a transcript included.
        ratio: length of the tokens beside that of them compressed; large where words repeat.
        ended: whether the model ended it, and not the number of tokens.
    """

    tokens: tuple[int, ...]
    log_prob: float
    ratio: float
    ended: bool = True


@final
class Hearing:
    """Writes what is heard in windows, one row of a batch each.

    Args:
        model: one that reads frames.
        tokens: of the model.
        rules: what may be written.
        options: how many beams, and the most tokens; 0 of these for as many as there is room for.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokens: SpeechTokens,
        rules: SpeechRules,
        *,
        beams: int,
        most: int,
    ) -> None:
        self._model, self._tokens, self._rules = model, tokens, rules
        self._beams, self._most = beams, most

    def encode(self, windows: NDArray[np.float32]) -> Memory:
        """What the encoder makes of windows ``(batch, frames, bins)``."""
        return self._model.model.encode(self._model.params, windows)

    def first_logits(self, memory: Memory, prompt: Sequence[int]) -> NDArray[Any]:
        """The logits ``(batch, vocab)`` of what follows a prompt, without rules."""
        model, batch = self._model.model, memory.positions.shape[0]
        state = model.begin(self._model.params, batch, len(prompt), memory=memory)
        fed = np.tile(np.array(prompt, np.int32), (batch, 1))
        where = np.tile(np.arange(len(prompt), dtype=np.int32), (batch, 1))
        return model.step(self._model.params, fed, where, state)[0]

    def hear(
        self, memory: Memory, prompt: Sequence[int], *, temperature: float = 0.0, seed: int = 0
    ) -> list[Heard]:
        """What follows a prompt in each row.

        Args:
            memory: from `encode`.
            prompt: what a transcript begins with, the same for all.
            temperature: of draws; 0 for what is likeliest, with beams if there are any.
            seed: of the draws.
        """
        context = self._model.config.context
        limit = min(self._most or context, context - len(prompt))
        rows = memory.positions.shape[0]
        options = GenerationOptions(
            max_new_tokens=limit,
            temperature=temperature,
            seed=seed,
            num_beams=1 if temperature else self._beams,
        )
        search = self._beam_rows if options.num_beams > 1 else self._single_rows
        return search(memory, [list(prompt)] * rows, options)

    def _beam_rows(
        self, memory: Memory, prompts: list[list[int]], options: GenerationOptions
    ) -> list[Heard]:
        found = beam_search(
            self._model.model,
            self._model.params,
            prompts,
            options,
            end_ids=self._tokens.ends,
            memory=memory,
            adjust=self._rules,
        )
        return [self._heard(list(beam.tokens), list(beam.log_probs)) for beam in found]

    def _single_rows(
        self, memory: Memory, prompts: list[list[int]], options: GenerationOptions
    ) -> list[Heard]:
        ends, limit = self._tokens.ends, options.max_new_tokens
        constraints = Constraints(options, ends, self._rules)
        written: list[list[int]] = [[] for _ in prompts]
        log_probs: list[list[float]] = [[] for _ in prompts]

        def choose(logits: NDArray[Any], /, *, history: Sequence[int], row: int, step: int) -> int:
            allowed = constraints.apply(logits, history, step=step, limit=limit)
            token = sample(allowed, options, history=history, row=row, step=step)
            written[row].append(token)
            log_probs[row].append(log_prob(allowed, token))
            return token

        for _ in decode(
            self._model.model,
            self._model.params,
            prompts,
            limit=limit,
            choose=choose,
            ends=lambda _, token: token in ends,
            memory=memory,
        ):
            pass
        return [self._heard(*row) for row in zip(written, log_probs, strict=True)]

    def _heard(self, tokens: list[int], log_probs: list[float]) -> Heard:
        mean = math.fsum(log_probs) / len(log_probs)
        vocab = self._model.config.target_embedding or self._model.config.embedding
        ratio = compression_ratio(tokens, vocab.vocab)
        ended = tokens[-1] in self._tokens.ends
        return Heard(tuple(tokens[: len(tokens) - ended]), mean, ratio, ended)


def compression_ratio(tokens: Sequence[int], vocab: int) -> float:
    """Bytes of the ids beside the bytes of them compressed."""
    size = int(math.log2(vocab) / 8) + 1
    content = b"".join(token.to_bytes(size, "little") for token in tokens)
    return len(content) / len(zlib.compress(content))
