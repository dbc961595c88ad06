"""What a scheduler is asked for, and what it says at each step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, final

from lmkernel.errors import InputError, shown
from lmkernel.generation.options import GenerationOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Adjust", "Drawn", "Event", "Failed", "PromptScored", "Request", "ScoredToken"]


class Adjust(Protocol):
    """Changes logits before a token is chosen from them, as a mask or a penalty does."""

    def __call__(self, logits: NDArray[Any], answer: Sequence[int], /) -> NDArray[Any]:
        """Other logits ``(vocab,)``; -inf for a token that may not be chosen.

        Args:
            logits: those of the model, which stay as they are.
            answer: the tokens that were chosen so far.
        """
        ...


@final
@dataclass(frozen=True, eq=False)
class Request:
    """A prompt, and what is wanted of it. Two of the same content are two requests.

    Args:
        prompt: token ids, at least one.
        options: how tokens are chosen; draws are keyed by their seed, the number of the answer,
            and the step. Strings that stop an answer are left to whoever reads it.
        choices: how many answers; 0 to have the prompt scored alone.
        alternatives: how many of the likeliest tokens are named beside each token.
        score_prompt: whether the prompt's own tokens are scored.
        adjust: one for each answer, or none at all.
        pixels: of the pictures whose vectors stand in the prompt, as `lmkernel.prompts.Prompt` has
            them; or None.

    Raises:
        InputError: an empty prompt, a negative number, or nothing to do.
    """

    prompt: Sequence[int]
    options: GenerationOptions = field(default_factory=GenerationOptions)
    choices: int = 1
    alternatives: int = 0
    score_prompt: bool = False
    adjust: Sequence[Adjust] = ()
    pixels: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        self._require("prompt", "at least one token", ok=len(self.prompt) > 0)
        self._require("choices", "a number of answers", ok=self.choices >= 0)
        self._require("alternatives", "a number of tokens", ok=self.alternatives >= 0)
        self._require("score_prompt", "True with 0 choices", ok=self.choices or self.score_prompt)
        one = self.options.num_beams == 1
        self._require("options", "one beam, as rows come and go one by one", ok=one)
        free = self.options.json_schema is None
        self._require("options", "no json_schema; its mask belongs to `adjust`", ok=free)

        alone = not self.options.prompt_lookup_num_tokens
        self._require("options", "no prompt look-up, as rows share their steps", ok=alone)
        told = self.pixels is None or not self.score_prompt
        self._require("score_prompt", "False with pictures", ok=told)
        ok = len(self.adjust) in {0, self.choices}
        self._require("adjust", f"none, or {self.choices}", ok=ok)

    def _require(self, name: str, expected: str, *, ok: object) -> None:
        if not ok:
            raise InputError(f"{name}: expected {expected}, got {shown(getattr(self, name))}")


@final
@dataclass(frozen=True)
class ScoredToken:
    """A token with what the model thinks of it, whatever the options that chose it.

    Args:
        id: the token.
        log_prob: its natural log-probability.
        alternatives: the likeliest tokens in its place with their log-probabilities, best first.
    """

    id: int
    log_prob: float
    alternatives: tuple[tuple[int, float], ...] = ()


@final
@dataclass(frozen=True)
class PromptScored:
    """The prompt's tokens are scored: all but the first, which follows nothing."""

    request: Request
    tokens: tuple[ScoredToken, ...]


@final
@dataclass(frozen=True)
class Drawn:
    """An answer has one more token.

    Args:
        request: whose.
        choice: which of its answers, from 0.
        token: the token; that which ends an answer is given, too.
        reason: why the answer ends here; empty if it goes on.
    """

    request: Request
    choice: int
    token: ScoredToken
    reason: Literal["", "stop", "length"] = ""


@final
@dataclass(frozen=True)
class Failed:
    """A request ends, all of its answers with it, by an error that is its own."""

    request: Request
    error: Exception


Event = PromptScored | Drawn | Failed
