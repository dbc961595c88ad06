"""The batches of each objective, from tokens or rows as the objective reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.errors import InputError
from lmkernel.training.data.causal_rows import CausalRows
from lmkernel.training.data.chat import chat_examples
from lmkernel.training.data.classification import ClassifiedRows, classified_examples
from lmkernel.training.data.pairs import SequencePairs, pair_examples
from lmkernel.training.data.windows import MaskedWindows, MaskingConfig, PackedCausal

if TYPE_CHECKING:
    from lmkernel.training.data.batches import Batches
    from lmkernel.training.data.prepare import Preparation
    from lmkernel.training.data.rows import Row
    from lmkernel.training.data.tokens import Tokens

__all__ = [
    "causal_batches",
    "classification_batches",
    "instruction_batches",
    "masked_batches",
    "sequences_batches",
]


def causal_batches(asked: Preparation, tokens: Tokens, *, shuffle: bool) -> Batches:
    """Packed documents, of which every token is predicted."""
    return PackedCausal(tokens, shuffle=shuffle, **_sizes(asked))


def masked_batches(asked: Preparation, tokens: Tokens, *, shuffle: bool) -> Batches:
    """Windows of documents with some tokens hidden."""
    masking = MaskingConfig.of(asked.tokenizer)
    return MaskedWindows(tokens, masking, shuffle=shuffle, **_sizes(asked))


def instruction_batches(asked: Preparation, rows: list[Row], *, shuffle: bool) -> Batches:
    """Conversations in which the assistant's words are learned."""
    data = asked.data
    examples = chat_examples(
        rows,
        asked.tokenizer,
        context=data.context,
        truncate=data.truncate,
        messages=asked.column("messages"),
        prompt=asked.column("prompt"),
        completion=asked.column("completion"),
    )
    return CausalRows(list(examples), shuffle=shuffle, multiple=asked.multiple, **_sizes(asked))


def classification_batches(asked: Preparation, rows: list[Row], *, shuffle: bool) -> Batches:
    """Texts, or pairs of texts, with a class each."""
    data = asked.data
    examples = classified_examples(
        rows,
        asked.tokenizer,
        asked.labels,
        context=data.context,
        truncate=data.truncate,
        text=asked.column("text"),
        second=data.columns.get("second"),
        label=asked.column("label"),
    )
    sizes = {"classes": len(asked.labels), "multiple": asked.multiple, **_sizes(asked)}
    return ClassifiedRows(list(examples), shuffle=shuffle, **sizes)


def sequences_batches(asked: Preparation, rows: list[Row], *, shuffle: bool) -> Batches:
    """Sources with the targets that are predicted token by token."""
    data = asked.data
    examples = pair_examples(
        rows,
        asked.tokenizer,
        context=data.context,
        truncate=data.truncate,
        source=asked.column("source"),
        target=asked.column("target"),
    )
    sizes = {"start": _start(asked), "multiple": asked.multiple, **_sizes(asked)}
    return SequencePairs(list(examples), shuffle=shuffle, **sizes)


def _start(asked: Preparation) -> int:
    """The token that a decoder begins with."""
    tokenizer = asked.tokenizer
    known = (asked.start, tokenizer.bos_id, tokenizer.pad_id, *tokenizer.eos_ids)
    found = next((token for token in known if token is not None), None)
    if found is None:
        raise InputError("expected a token that a decoder begins with, got a tokenizer without")
    return found


def _sizes(asked: Preparation) -> dict[str, int]:
    sizes = {"context": asked.data.context, "batch": asked.batch, "seed": asked.seed}
    return {**sizes, "vocab": asked.vocab}
