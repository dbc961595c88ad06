"""What may stand where a text has a mask, under a masked language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import require_count, require_flag
from lmkernel.errors import InputError, shown
from lmkernel.inspection.sentence_rows import forward_rows, in_batches, probabilities, text_row
from lmkernel.results import Line, Lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel

__all__ = ["TOP", "Filling", "Fillings", "Guess", "fill"]

TOP = 5


@final
@dataclass(frozen=True)
class Guess:
    """A token for a mask.

    Args:
        text: the token as text.
        token: its id.
        score: its probability.
    """

    text: str
    token: int
    score: float

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**vars(self), "score": round(self.score, 6)}


@final
@dataclass(frozen=True)
class Filling(Line):
    """The likeliest tokens for each mask of a text.

    Args:
        text: the text.
        filled: the text with the likeliest token at each mask.
        masks: for each mask, the likeliest first. Each is guessed for itself, while the others are
            hidden.
    """

    text: str
    filled: str
    masks: tuple[tuple[Guess, ...], ...]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        masks = [[guess.json() for guess in one] for one in self.masks]
        return {"text": self.text, "filled": self.filled, "masks": masks}

    def cells(self) -> dict[str, str]:
        """Its row in a table."""
        scores = ", ".join(f"{one[0].score:.4f}" for one in self.masks)
        return {"SCORES": scores, "FILLED": self.filled}


@final
class Fillings(Lines[Filling]):
    """What several texts are filled with, in their order."""


def fill(
    model: LanguageModel,
    texts: str | Sequence[str],
    *,
    top: int = TOP,
    batch: int = 32,
    truncate: bool = False,
) -> Filling | Fillings:
    """The likeliest tokens for each mask of each text.

    Args:
        model: a masked language model, on any backend.
        texts: a text, or several, each with at least one mask token, such as ``[MASK]``.
        top: how many tokens for each mask.
        batch: how many texts are computed at once.
        truncate: cut what is longer than the tokenizer says (``model_max_length``), or than the
            context.

    Raises:
        InputError: no text, one without a mask, or a model that does not guess hidden tokens.
    """
    require_flag("truncate", truncate)
    mask = _mask_id(model)
    require_count("top", top, most=model.config.embedding.vocab)
    given = [texts] if isinstance(texts, str) else texts
    found: list[Filling] = []
    for several in in_batches(given, batch, "text"):
        rows = [_row(model, text, mask, truncate=truncate) for text in several]
        for text, ids, logits in zip(several, rows, _outputs(model, rows), strict=True):
            found.append(_filling(model, text, ids, logits, mask, top))
    return found[0] if isinstance(texts, str) else Fillings(found)


def _mask_id(model: LanguageModel) -> int:
    config, head = model.config, model.config.head
    guesses = head is not None and head.pooling == "none" and not head.task
    if config.encoder is None or head is None or not guesses or head.size < config.embedding.vocab:
        raise InputError(
            f"{model.origin.where}: expected a masked language model, which guesses hidden tokens, "
            f"got a {model.origin.model_type} model that does not"
        )
    return model.tokenizer.special_id("mask_token")


def _row(model: LanguageModel, text: object, mask: int, *, truncate: bool) -> list[int]:
    if not isinstance(text, str):
        raise InputError(f"expected a text, got {shown(text)}")
    ids = list(text_row(model, text, truncate=truncate)[0])
    if mask not in ids:
        name = model.tokenizer.token(mask)
        cut = ", after it was cut" if truncate else ""
        raise InputError(f"{shown(text)}: expected at least one {name}{cut}, got none")
    return ids


def _outputs(model: LanguageModel, rows: Sequence[list[int]]) -> NDArray[np.float64]:
    return forward_rows(model, [(ids, [0] * len(ids)) for ids in rows])


def _filling(
    model: LanguageModel,
    text: str,
    ids: list[int],
    logits: NDArray[np.float64],
    mask: int,
    top: int,
) -> Filling:
    tokenizer, filled, masks = model.tokenizer, list(ids), []
    for place in (i for i, token in enumerate(ids) if token == mask):
        scores = probabilities(logits[place])
        best = [int(i) for i in np.argsort(-scores, kind="stable")[:top]]
        masks.append(tuple(Guess(tokenizer.decode([i]), i, float(scores[i])) for i in best))
        filled[place] = best[0]
    return Filling(text, tokenizer.decode(filled), tuple(masks))
