"""How well a model predicts texts, each as one number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import require_count
from lmkernel.errors import InputError, shown
from lmkernel.inspection.inputs import prompt_ids, refuse_long
from lmkernel.inspection.sentence_rows import context_of, in_batches
from lmkernel.results import Line, Lines
from lmkernel.tasks.row_log_probs import row_log_probs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lmkernel.language_model import LanguageModel

__all__ = ["Perplexities", "Perplexity", "perplexity"]

_STRIDE = "stride (--stride N) reads it in windows"


@final
@dataclass(frozen=True)
class Perplexity(Line):
    """How well a text is predicted.

    Args:
        text: the text.
        tokens: how many of its tokens were predicted; the first one follows nothing.
        log_prob: the natural log-probability of all of them.
    """

    text: str
    tokens: int
    log_prob: float

    @property
    def perplexity(self) -> float:
        """``exp(-log_prob / tokens)``."""
        mean = -self.log_prob / self.tokens
        return math.exp(mean) if mean < 700 else math.inf  # noqa: PLR2004 - the largest exponent of a float64

    @property
    def bits_per_byte(self) -> float:
        """Bits that the text takes with this model, divided by its bytes of UTF-8.

        Infinite where an empty text has tokens, as those that stand around it.
        """
        size = len(self.text.encode())
        return -self.log_prob / math.log(2) / size if size else math.inf

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        value, bits = self.perplexity, self.bits_per_byte
        return {
            "text": self.text,
            "tokens": self.tokens,
            "log_prob": round(self.log_prob, 6),
            "perplexity": float(f"{value:.9g}") if math.isfinite(value) else None,
            "bits_per_byte": round(bits, 6) if math.isfinite(bits) else None,
        }

    def cells(self) -> dict[str, str]:
        """Its row in a table."""
        return {
            "PERPLEXITY": f"{self.perplexity:.6g}",
            "TOKENS": str(self.tokens),
            "TEXT": self.text,
        }


@final
class Perplexities(Lines[Perplexity]):
    """How well several texts are predicted, in their order."""


def perplexity(
    model: LanguageModel, texts: str | Sequence[str], *, batch: int = 8, stride: int = 0
) -> Perplexity | Perplexities:
    """The perplexity of each text.

    Args:
        model: that predicts each token from those before, on any backend.
        texts: a text, or several; tokenised with special tokens.
        batch: how many rows are computed at once.
        stride: a text that is longer than the context is read in windows that begin so many tokens
            after each other; each token is predicted in the first window that holds it. 0 takes no
            longer text.

    Raises:
        InputError: no text, one of fewer than two tokens or longer than the context, or a model
            that predicts otherwise.
    """
    context = context_of(model)
    require_count("stride", stride, least=0, most=context - 1)
    given = [texts] if isinstance(texts, str) else texts
    found: list[Perplexity] = []
    for several in in_batches(given, batch, "text"):
        windows = [(i, *w) for i, text in enumerate(several) for w in _windows(model, text, stride)]
        values: list[list[float]] = [[] for _ in several]
        for part in in_batches(windows, batch, "text"):
            scores = row_log_probs(model, [ids for _, ids, _ in part])
            for (i, _, first), own in zip(part, scores, strict=True):
                values[i] += own[first - 1 :].tolist()
        found += [
            Perplexity(text, len(own), float(np.sum(own)))
            for text, own in zip(several, values, strict=True)
        ]
    return found[0] if isinstance(texts, str) else Perplexities(found)


def _refuse_long(model: LanguageModel, text: str) -> None:
    try:
        refuse_long(model, text)
    except InputError as error:
        raise InputError(f"{shown(text)}: {error}; {_STRIDE}") from error


def _windows(model: LanguageModel, text: object, stride: int) -> Iterator[tuple[list[int], int]]:
    """The ids of each window, and the first of them that it is to predict."""
    if not isinstance(text, str):
        raise InputError(f"expected a text, got {shown(text)}")
    if not stride:
        _refuse_long(model, text)
    ids, context = prompt_ids(model, text), context_of(model)
    if len(ids) == 1:
        raise InputError(
            f"{shown(text)}: expected two tokens or more, got one, which follows nothing"
        )
    if len(ids) > context and not stride:
        raise InputError(
            f"{shown(text)}: expected at most {context} tokens, the model's context, got "
            f"{len(ids)}; {_STRIDE}"
        )
    done = 1
    for begin in range(0, len(ids), stride or len(ids)):
        window = ids[begin : begin + context]
        yield window, done - begin
        done = begin + len(window)
        if done == len(ids):
            return
