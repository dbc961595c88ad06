"""How a sound is transcribed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypedDict, final

from lmkernel.arguments import require_count, require_known
from lmkernel.errors import InputError, shown
from lmkernel.speech.vocabulary import TASKS

__all__ = ["SpeechChanges", "SpeechOptions"]


class SpeechChanges(TypedDict, total=False):
    """The options as keywords of ``transcribe``; see `SpeechOptions`."""

    language: str | None
    task: str
    prompt: str
    timestamps: bool
    num_beams: int
    max_new_tokens: int
    temperatures: tuple[float, ...]
    most_repetitive: float | None
    least_log_prob: float | None
    most_silent: float | None
    words: bool
    condition: bool
    seed: int
    chunked: bool
    batch: int


@final
@dataclass(frozen=True, kw_only=True)
class SpeechOptions:
    """Options of a transcript.

    Args:
        language: what is spoken: a code such as ``"de"``, or an English name; None for what the
            model's files say, and where they say none, to let it tell from the first window.
        task: ``"transcribe"``, or ``"translate"`` into English.
        prompt: what each window is told was written before it, so that names are spelt as there;
            with ``condition``, before the first one. Not where windows are chunked.
        timestamps: whether the model writes times. A sound longer than a window needs them, unless
            it is ``chunked``.
        num_beams: number of beams of the first temperature, where that is 0.
        max_new_tokens: the most tokens of a window; 0 for as many as the context has room for.
        temperatures: tried one after the other, until a window's text is neither repetitive nor
            unlikely (arXiv:2212.04356, §4.5).
        most_repetitive: the largest compression ratio of a text that is no repetition; None to take
            any.
        least_log_prob: the least mean log-probability of a text that is taken; None to take any.
        most_silent: the largest probability of no speech of a window that is unlikely and yet
            taken; None to take any.
        words: whether each word has its times, too; not where windows are chunked.
        condition: whether a window is told what was written before it.
        seed: of the draws.
        chunked: whether windows overlap and are heard side by side, in place of one after the
            other; without times, and at the first temperature alone.
        batch: how many windows are heard side by side.

    Raises:
        InputError: a value that makes no sense; the message names it.
    """

    language: str | None = None
    task: str = TASKS[0]
    prompt: str = ""
    timestamps: bool = True
    num_beams: int = 1
    max_new_tokens: int = 0
    temperatures: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    most_repetitive: float | None = 1.35
    least_log_prob: float | None = -1.0
    most_silent: float | None = 0.6
    words: bool = False
    condition: bool = False
    seed: int = 0
    chunked: bool = False
    batch: int = 8

    def __post_init__(self) -> None:
        if self.language is not None and not isinstance(self.language, str):
            raise InputError(f"language: expected a code or a name, got {shown(self.language)}")
        require_known("task", self.task, TASKS)
        self._require("prompt", "a text", ok=isinstance(self.prompt, str))
        if self.prompt and self.chunked:
            raise InputError("prompt: expected none where windows are chunked")
        for name in ("timestamps", "words", "condition", "chunked"):
            self._require(name, "True or False", ok=isinstance(getattr(self, name), bool))
        for name, least in (("num_beams", 1), ("max_new_tokens", 0), ("batch", 1)):
            require_count(name, getattr(self, name), least=least)
        require_count("seed", self.seed, least=0, most=(1 << 64) - 1)
        given: Any = self.temperatures
        listed = isinstance(given, tuple | list) and bool(given)
        ok = listed and all(_is_number(t) and t >= 0 for t in given)
        self._require("temperatures", "one number or more, none below 0", ok=ok)
        for name in ("most_repetitive", "least_log_prob", "most_silent"):
            value = getattr(self, name)
            self._require(name, "a number or None", ok=value is None or _is_number(value))

    @classmethod
    def of(cls, changes: dict[str, Any]) -> SpeechOptions:
        """The usual ones, with others in place of single values.

        Raises:
            UnknownNameError: a name that is no option.
        """
        for name in changes:
            require_known("option of transcribe", name, cls.__dataclass_fields__)
        return cls(**changes)

    def is_likely(self, log_prob: float) -> bool:
        """Whether a text of such a mean log-probability is taken."""
        return self.least_log_prob is None or log_prob >= self.least_log_prob

    def is_repetitive(self, ratio: float) -> bool:
        """Whether a text of such a compression ratio says the same over and over."""
        return self.most_repetitive is not None and ratio > self.most_repetitive

    def is_silent(self, log_prob: float, silence: float) -> bool:
        """Whether nothing is spoken where a model writes a text all the same.

        Args:
            log_prob: the mean log-probability of the text.
            silence: the probability that nothing is spoken.
        """
        quiet = self.most_silent is not None and silence > self.most_silent
        return quiet and not self.is_likely(log_prob)

    def _require(self, name: str, expected: str, *, ok: bool) -> None:
        if not ok:
            raise InputError(f"{name}: expected {expected}, got {shown(getattr(self, name))}")


def _is_number(value: Any) -> bool:
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and not math.isnan(value)
