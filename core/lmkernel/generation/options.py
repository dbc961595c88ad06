"""How to generate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from lmkernel.errors import InputError

__all__ = ["GenerationOptions"]


@final
@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """Options of one generation; the defaults are greedy.

    Args:
        max_new_tokens: at most so many.
        temperature: logits are divided by it; 0 takes the largest logit.
        top_k: only the k largest; 0 for all.
        top_p: only the smallest set of largest probabilities that reaches p (arXiv:1904.09751).
        min_p: only what has at least this share of the largest probability (arXiv:2407.01082).
        repetition_penalty: logits of tokens that came before are divided by it where positive and
            multiplied where negative (arXiv:1909.05858, §4.1).
        seed: of the draws, which are keyed by (seed, row, step).
        stop: generation ends before any of these strings.
        stop_ids: generation ends at any of these tokens, besides the model's own.
        ignore_eos: go on after the model's own end.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    stop_ids: tuple[int, ...] = ()
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        self._require("max_new_tokens", "at least 1", ok=self.max_new_tokens >= 1)
        self._require("temperature", "0 or more", ok=0 <= self.temperature < float("inf"))
        self._require("top_k", "0 or more", ok=self.top_k >= 0)
        self._require("top_p", "in (0, 1]", ok=0 < self.top_p <= 1)
        self._require("min_p", "in [0, 1)", ok=0 <= self.min_p < 1)
        self._require("repetition_penalty", "above 0", ok=self.repetition_penalty > 0)
        self._require("seed", "0 or more", ok=self.seed >= 0)
        self._require("stop", "without empty strings", ok=all(self.stop))

    def _require(self, field: str, expected: str, *, ok: bool) -> None:
        if not ok:
            raise InputError(f"{field}: expected {expected}, got {getattr(self, field)!r}")
