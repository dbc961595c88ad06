"""The vectors of texts, under a model that compares them with pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel.errors import InputError
from lmkernel.inspection.sentence_rows import forward_rows, in_batches, text_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.inspection.sentence_rows import Row
    from lmkernel.language_model import LanguageModel

__all__ = ["text_vectors"]


def text_vectors(
    model: LanguageModel, texts: Sequence[str], batch: int = 32
) -> NDArray[np.float64]:
    """One vector for each text, ``(texts, size)``, as they are compared with those of pictures.

    Raises:
        InputError: no text, one longer than the context, or a tokenizer without a token of padding
            where the model reads it.
    """
    rows = [_row(model, text) for text in texts]
    return np.concatenate([forward_rows(model, some) for some in in_batches(rows, batch, "text")])


def _row(model: LanguageModel, text: str) -> Row:
    ids, segments = text_row(model, text)
    if model.config.pair is None or not model.config.pair.padded:
        return ids, segments
    padding = model.tokenizer.pad_id
    if padding is None:
        raise InputError(f"{model.origin.where}: expected a tokenizer with a pad_token")
    missing = model.config.context - len(ids)
    return [*ids, *[padding] * missing], [*segments, *[0] * missing]
