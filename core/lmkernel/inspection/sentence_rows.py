"""Texts and pairs of texts become rows of a model's inputs, and outputs become probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.arguments import as_items, require_count
from lmkernel.errors import InputError, shown
from lmkernel.inspection.inputs import check_ids, refuse_long
from lmkernel.inspection.outputs import check_finite
from lmkernel.tokenizers.sentences import sentence_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.config import HeadConfig
    from lmkernel.language_model import LanguageModel

    Text = str | tuple[str, str]
    Row = tuple[Sequence[int], Sequence[int]]

__all__ = [
    "context_of",
    "forward_rows",
    "in_batches",
    "label_names",
    "probabilities",
    "text_row",
]

_PAIR = 2
_ENDLESS = 1 << 30


def in_batches(items: object, batch: int, what: str) -> Iterator[list[Any]]:
    """Lists of ``batch`` items.

    Raises:
        InputError: not one item, or batches of nothing.
    """
    given = as_items(items)
    if not given:
        raise InputError(f"expected one {what} or more, got {shown(items)}")
    require_count("batch", batch)
    for begin in range(0, len(given), batch):
        yield given[begin : begin + batch]


def context_of(model: LanguageModel) -> int:
    """The most tokens of a row."""
    return model.config.context or _ENDLESS


def text_row(model: LanguageModel, text: object, *, truncate: bool = False) -> Row:
    """The ids of a text or of a pair of texts, with special tokens, and the segment of each.

    Args:
        model: whose tokenizer and context they are for.
        text: one, or a pair as a tuple.
        truncate: cut what is longer than the tokenizer says (``model_max_length``), or than the
            context.

    Raises:
        InputError: something else, or longer than the context.
    """
    parts = [text] if isinstance(text, str) else list(text) if isinstance(text, tuple) else []
    if not 1 <= len(parts) <= _PAIR or not all(isinstance(part, str) for part in parts):
        raise InputError(f"expected a text, or a pair of texts as a tuple, got {shown(text)}")
    plain, most = model.config.encoder is None, context_of(model)
    if truncate:
        most = min(most, model.tokenizer.longest or most)
    try:
        for part in () if truncate else parts:
            refuse_long(model, part)
        row = sentence_ids(model.tokenizer, parts, most, truncate=truncate, plain=plain)
        check_ids(model.config, row[0])
    except InputError as error:
        raise InputError(f"{shown(text)}: {error}") from error
    return row


def forward_rows(model: LanguageModel, rows: Sequence[Row]) -> NDArray[np.float64]:
    """A model's output for rows of unequal length, ``(rows, …)``, padded on the right.

    Raises:
        NotFiniteError: one of them is NaN or infinite.
    """
    own, backend = model.model, model.backend
    # a compiled backend gets the few lengths that prompts have
    time = own.slots(max(len(ids) for ids, _ in rows))
    inputs, positions, segments = (
        np.full((len(rows), time), fill, np.int32) for fill in (0, -1, 0)
    )
    for i, (ids, parts) in enumerate(rows):
        inputs[i, : len(ids)], segments[i, : len(ids)] = ids, parts
        positions[i, : len(ids)] = np.arange(len(ids))
    with backend.scope(), backend.inference():
        x, where, which = (
            backend.ops.asarray(array, "int32") for array in (inputs, positions, segments)
        )
        output = own.forward(model.params, x, positions=where, segments=which)
        found = backend.ops.to_numpy(output).astype(np.float64)
    check_finite(model, found, "logits")
    return found


def probabilities(logits: NDArray[np.float64], *, each: bool = False) -> NDArray[np.float64]:
    """A softmax over the last axis, or a sigmoid of each."""
    if each:
        return np.exp(-np.logaddexp(0, -logits))
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    whole: NDArray[np.float64] = shifted / shifted.sum(-1, keepdims=True)
    return whole


def label_names(model: LanguageModel, head: HeadConfig) -> tuple[str, ...]:
    """The names of a head's classes."""
    return head.labels or model.origin.labels or tuple(f"LABEL_{n}" for n in range(head.size))
