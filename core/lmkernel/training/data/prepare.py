"""From settings and a tokenizer to batches, for each objective.

Causal and masked language modelling read documents, as token shards from the cache; the others
read rows into memory. Training batches are shuffled, those of validation come in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel.errors import InputError, UnknownNameError
from lmkernel.training.data.causal_rows import CausalRows
from lmkernel.training.data.chat import chat_examples
from lmkernel.training.data.classified import Classified
from lmkernel.training.data.documents import Documents
from lmkernel.training.data.labelled import classified_examples, label_names
from lmkernel.training.data.masked import Masked, MaskingConfig
from lmkernel.training.data.packed import PackedCausal
from lmkernel.training.data.pairs import SequencePairs, pair_examples
from lmkernel.training.data.readers import open_rows
from lmkernel.training.data.shard_writer import token_shards
from lmkernel.training.data.split import split_items, split_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmkernel.sources.progress import Progress
    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.batches import Batches
    from lmkernel.training.data.rows import Row
    from lmkernel.training.data.settings import DataConfig
    from lmkernel.training.data.shards import Shards
    from lmkernel.training.data.tokens import Tokens

__all__ = ["OBJECTIVES", "Prepared", "Preparation"]


@final
@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a run trains and validates on.

    Args:
        training: shuffled, each epoch in another order.
        validation: in order; one epoch is all of it.
        labels: names of the classes, for classification.
        validation_bytes: bytes of UTF-8 of the validation documents, for bits per byte; 0 for
            objectives that read rows.
    """

    training: Batches
    validation: Batches
    labels: tuple[str, ...] = ()
    validation_bytes: int = 0


@final
@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How data of one kind are made from settings.

    Args:
        data: which, and how they are cut.
        tokenizer: of the model.
        vocab: tokens that the model knows; no token may be above.
        labels: names of the classes in their order, if the model has them; else they are those of
            the training data.
        start: the token that a decoder begins with; by default the tokenizer's first of
            ``bos_token``, ``pad_token`` and what ends a text.
        progress: hears of long work.
    """

    data: DataConfig
    tokenizer: Tokenizer
    vocab: int
    labels: tuple[str, ...] = ()
    start: int | None = None
    progress: Progress | None = None

    def split(self, objective: str) -> Prepared:
        """Training and validation batches of one of `OBJECTIVES`.

        Raises:
            UnknownNameError: another objective.
            InputError: whatever is wrong with the data; names file and line.
        """
        return _objective(objective)(self, True)

    def whole(self, objective: str) -> Prepared:
        """All data of ``source`` in order, as both sides, to evaluate on.

        Raises:
            UnknownNameError: another objective.
            InputError: whatever is wrong with the data; names file and line.
        """
        return _objective(objective)(self, False)


def _objective(name: str) -> Callable[[Preparation, bool], Prepared]:
    if name not in OBJECTIVES:
        raise UnknownNameError("objective", name, OBJECTIVES)
    return OBJECTIVES[name]


# documents


def _shards(asked: Preparation, source: str, end: int | None) -> Shards:
    data = asked.data
    rows = open_rows(source, blank_lines=data.blank_lines)
    documents = Documents(rows, data.columns.get("text", "text"))
    return token_shards(documents, asked.tokenizer, end=end, progress=asked.progress)


def _tokens(asked: Preparation, parted: bool, end: int | None) -> tuple[Tokens, Tokens]:
    data, shards = asked.data, _shards(asked, asked.data.source, end)
    if not parted:
        return shards.tokens(), shards.tokens()
    if data.validation is None:
        return split_tokens(shards, data.validation_share, data.seed)
    return shards.tokens(), _shards(asked, data.validation, end).tokens()


def _packed(
    asked: Preparation, parted: bool, end: int | None, make: Callable[[Tokens, bool], Batches]
) -> Prepared:
    training, validation = _tokens(asked, parted, end)
    return Prepared(
        training=make(training, parted),
        validation=make(validation, False),
        validation_bytes=validation.text_bytes,
    )


def _causal(asked: Preparation, parted: bool) -> Prepared:
    sizes = _sizes(asked)
    return _packed(
        asked, parted, None, lambda tokens, shuffle: PackedCausal(tokens, shuffle=shuffle, **sizes)
    )


def _masked(asked: Preparation, parted: bool) -> Prepared:
    masking, sizes = MaskingConfig.of(asked.tokenizer), _sizes(asked)
    return _packed(
        asked,
        parted,
        masking.sep,
        lambda tokens, shuffle: Masked(tokens, masking, shuffle=shuffle, **sizes),
    )


# rows


def _rows(asked: Preparation, parted: bool) -> tuple[Sequence[Row], Sequence[Row]]:
    data = asked.data
    rows = list(open_rows(data.source, blank_lines=data.blank_lines))
    if not parted:
        return rows, rows
    if data.validation is None:
        return split_items(rows, data.validation_share, data.seed)
    return rows, list(open_rows(data.validation, blank_lines=data.blank_lines))


def _instruction(asked: Preparation, parted: bool) -> Prepared:
    data, sides = asked.data, _rows(asked, parted)
    names = data.named("messages", "prompt", "completion")
    examples = (list(chat_examples(rows, asked.tokenizer, **_cut(data), **names)) for rows in sides)
    training, validation = (
        CausalRows(side, shuffle=shuffle, multiple=data.multiple, **_sizes(asked))
        for side, shuffle in zip(examples, (parted, False), strict=True)
    )
    return Prepared(training=training, validation=validation)


def _classification(asked: Preparation, parted: bool) -> Prepared:
    data, sides = asked.data, _rows(asked, parted)
    names = data.named("text", "second", "label")
    known = sides[0] if data.validation else [*sides[0], *sides[1]]
    labels = asked.labels or label_names(known, names.get("label", "label"))
    examples = (
        list(classified_examples(rows, asked.tokenizer, labels, **_cut(data), **names))
        for rows in sides
    )
    sizes = {"classes": len(labels), "multiple": data.multiple, **_sizes(asked)}
    training, validation = (
        Classified(side, shuffle=shuffle, **sizes)
        for side, shuffle in zip(examples, (parted, False), strict=True)
    )
    return Prepared(training=training, validation=validation, labels=labels)


def _sequences(asked: Preparation, parted: bool) -> Prepared:
    data, sides = asked.data, _rows(asked, parted)
    names = data.named("source", "target")
    examples = (list(pair_examples(rows, asked.tokenizer, **_cut(data), **names)) for rows in sides)
    sizes = {"start": _start(asked), "multiple": data.multiple, **_sizes(asked)}
    training, validation = (
        SequencePairs(side, shuffle=shuffle, **sizes)
        for side, shuffle in zip(examples, (parted, False), strict=True)
    )
    return Prepared(training=training, validation=validation)


def _start(asked: Preparation) -> int:
    tokenizer = asked.tokenizer
    known = (asked.start, tokenizer.bos_id, tokenizer.pad_id, *tokenizer.eos_ids)
    found = next((token for token in known if token is not None), None)
    if found is None:
        raise InputError("expected a token that a decoder begins with, got a tokenizer without")
    return found


def _sizes(asked: Preparation) -> dict[str, int]:
    data = asked.data
    return {
        "context": data.context,
        "batch": data.batch,
        "seed": data.seed,
        "vocab": asked.vocab,
    }


def _cut(data: DataConfig) -> dict[str, int]:
    return {"context": data.context, "truncate": data.truncate}


OBJECTIVES: Mapping[str, Callable[[Preparation, bool], Prepared]] = MappingProxyType(
    {
        "causal": _causal,
        "masked": _masked,
        "instruction": _instruction,
        "classification": _classification,
        "sequences": _sequences,
    }
)
