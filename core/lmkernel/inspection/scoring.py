"""How probable a text is under a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.generation.likelihood import log_prob, position_logits
from lmkernel.inspection.inputs import check_ids, prompt_ids, refuse_long
from lmkernel.inspection.outputs import check_finite
from lmkernel.results import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel

    Prompt = str | Sequence[int]

__all__ = ["LogProbs", "check_predicts", "log_probs"]


@final
@dataclass(frozen=True, eq=False, repr=False)
class LogProbs:
    """The log-probability of each token of a text, given those before it.

    Args:
        tokens: the ids scored.
        values: float64 ``(tokens,)``, natural logarithms.
    """

    tokens: tuple[int, ...]
    values: NDArray[np.float64]

    @property
    def sum(self) -> float:
        """The log-probability of all of them together."""
        return float(self.values.sum())

    @property
    def mean(self) -> float:
        """That of one token on average."""
        return float(self.values.mean())

    @property
    def perplexity(self) -> float:
        """``exp(-mean)``."""
        try:
            return math.exp(-self.mean)
        except OverflowError:
            return math.inf

    def json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "tokens": list(self.tokens),
            "values": self.values.tolist(),
            "sum": self.sum,
            "mean": self.mean,
            "perplexity": self.perplexity if math.isfinite(self.perplexity) else None,
        }

    def __str__(self) -> str:
        count = counted(len(self.tokens), "token")
        return f"{count}, log-probability {self.sum:.6g}, perplexity {self.perplexity:.6g}"

    def __repr__(self) -> str:
        return f"LogProbs({self})"


def log_probs(model: LanguageModel, inputs: Prompt, continuation: Prompt | None = None) -> LogProbs:
    """The log-probabilities of a text's tokens, or of a continuation's after a prompt.

    A prompt and a continuation that are both texts are tokenised as one text wherever the prompt's
    own tokens begin it, so that the continuation has the tokens that it has there. Where they do
    not, as when a word ends in the continuation that begins in the prompt, each is tokenised by
    itself, and so they are where one comes as ids.

    Args:
        model: with a decoder, on any backend.
        inputs: a text, which is tokenised with special tokens, or ids.
        continuation: if inputs, its tokens alone are scored, after all of ``inputs``; else every
            token but the first, which follows nothing.

    Raises:
        InputError: what was given cannot be used, nothing is left to score, or the model does not
            predict each token from those before.
        NotFiniteError: a logit is NaN or infinite.
    """
    check_predicts(model)
    ids, first = _join_ids(model, inputs, continuation)
    check_ids(model.model.config, ids)
    rows = position_logits(model.model, model.params, ids[:-1], first - 1)
    values = []
    for row, token in zip(rows, ids[first:], strict=True):
        check_finite(model, row, "logits")
        values.append(log_prob(row.astype(np.float64), token))
    return LogProbs(tuple(ids[first:]), np.array(values, np.float64))


def check_predicts(model: LanguageModel) -> None:
    """Raise `InputError` for a model that does not predict each token from those before it."""
    config = model.model.config
    predicts = config.head is not None and config.head.pooling == "none"
    if config.decoder is None or config.encoder is not None or not predicts:
        raise InputError("expected a model that predicts each token from those before it")


def _join_ids(
    model: LanguageModel, inputs: Prompt, continuation: Prompt | None
) -> tuple[list[int], int]:
    """All ids, and which is the first to be scored."""
    for given in (inputs, continuation):
        if isinstance(given, str):
            refuse_long(model, given)
    ids = prompt_ids(model, inputs)
    if continuation is None:
        if len(ids) == 1:
            raise InputError("expected two tokens or more, got one, which follows nothing")
        return ids, 1
    whole = [*ids, *prompt_ids(model, continuation, special_tokens=False)]
    if isinstance(inputs, str) and isinstance(continuation, str):
        together = prompt_ids(model, inputs + continuation)
        if together[: len(ids)] == ids and len(together) > len(ids):
            whole = together
    return whole, len(ids)
