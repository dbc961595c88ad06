"""From settings and a tokenizer to batches, for each objective.

Causal and masked language modelling read documents, as token shards from the cache; the others
read rows into memory. Training batches are shuffled, those of validation come in order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, final

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
from lmkernel.training.data.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.progress import Progress
    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.batches import Batches
    from lmkernel.training.data.rows import Row, Rows
    from lmkernel.training.data.settings import DataConfig
    from lmkernel.training.data.shards import Shards

__all__ = ["OBJECTIVES", "Preparation", "Prepared"]

_CLASSIFICATION = "classification"


class _Sides(Protocol):
    """Reads the data of training and validation; all of the source twice unless ``parted``."""

    def __call__(self, asked: Preparation, /, *, parted: bool = True) -> tuple[Any, Any]: ...


class _Make(Protocol):
    """Makes batches of one side."""

    def __call__(self, asked: Preparation, side: Any, /, *, shuffle: bool) -> Batches: ...


@final
@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a run trains and validates on.

    Args:
        training: shuffled, each epoch in another order.
        validation: in order; one epoch is all of it.
        labels: names of the classes, for classification.
        validation_bytes: bytes of UTF-8 of the validation documents, for bits per byte; 0 where
            the loss is not that of every token.
    """

    training: Batches
    validation: Batches
    labels: tuple[str, ...] = ()
    validation_bytes: int = 0


@final
@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How data are made from settings.

    Args:
        data: which, and how they are cut.
        tokenizer: of the model.
        vocab: tokens that the model knows; no token may be above.
        labels: names of the classes in their order, if the model has them; else they are those of
            the data.
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
        asked, (sides, make) = _labelled(self, objective), _objective(objective)
        training, validation = sides(asked)
        return Prepared(
            training=make(asked, training, shuffle=True),
            validation=make(asked, validation, shuffle=False),
            labels=asked.labels,
            validation_bytes=_bytes(objective, validation),
        )

    def whole(self, objective: str) -> Prepared:
        """All data of ``source`` in order, as both sides, to evaluate on.

        Raises:
            UnknownNameError: another objective.
            InputError: whatever is wrong with the data; names file and line.
        """
        asked, (sides, make) = _labelled(self, objective), _objective(objective)
        side, _ = sides(asked, parted=False)
        made = make(asked, side, shuffle=False)
        size = _bytes(objective, side)
        return Prepared(training=made, validation=made, labels=asked.labels, validation_bytes=size)


def _objective(name: str) -> tuple[_Sides, _Make]:
    if name not in OBJECTIVES:
        raise UnknownNameError("objective", name, OBJECTIVES)
    return OBJECTIVES[name]


def _labelled(asked: Preparation, objective: str) -> Preparation:
    """With the names of the classes, where there are classes."""
    if asked.labels or objective != _CLASSIFICATION:
        return asked
    return replace(asked, labels=label_names(_rows(asked.data, asked.data.source), _label(asked)))


def _label(asked: Preparation) -> str:
    return asked.data.column("label")


def _bytes(objective: str, side: Tokens | list[Row]) -> int:
    return side.text_bytes if objective == "causal" and isinstance(side, Tokens) else 0


# documents


def _tokens(asked: Preparation, *, parted: bool = True) -> tuple[Tokens, Tokens]:
    data, shards = asked.data, _shards(asked, asked.data.source)
    if not parted:
        return shards.tokens(), shards.tokens()
    if data.validation is None:
        return split_tokens(shards, data.validation_share, data.seed)
    return shards.tokens(), _shards(asked, data.validation).tokens()


def _shards(asked: Preparation, source: str) -> Shards:
    documents = Documents(_rows(asked.data, source), asked.data.column("text"))
    return token_shards(documents, asked.tokenizer, progress=asked.progress)


def _causal(asked: Preparation, tokens: Tokens, *, shuffle: bool) -> Batches:
    return PackedCausal(tokens, shuffle=shuffle, **_sizes(asked))


def _masked(asked: Preparation, tokens: Tokens, *, shuffle: bool) -> Batches:
    masking = MaskingConfig.of(asked.tokenizer)
    return Masked(tokens, masking, shuffle=shuffle, **_sizes(asked))


# rows


def _rows(data: DataConfig, source: str) -> Rows:
    return open_rows(source, blank_lines=data.blank_lines)


def _lists(asked: Preparation, *, parted: bool = True) -> tuple[list[Row], list[Row]]:
    data, rows = asked.data, list(_rows(asked.data, asked.data.source))
    if not parted:
        return rows, rows
    if data.validation is not None:
        return rows, list(_rows(data, data.validation))
    try:
        return split_items(rows, data.validation_share, data.seed)
    except InputError as error:
        raise InputError(f"{data.source}: {error}") from error


def _instruction(asked: Preparation, rows: list[Row], *, shuffle: bool) -> Batches:
    data = asked.data
    examples = chat_examples(
        rows,
        asked.tokenizer,
        context=data.context,
        truncate=data.truncate,
        messages=data.column("messages"),
        prompt=data.column("prompt"),
        completion=data.column("completion"),
    )
    return CausalRows(list(examples), shuffle=shuffle, multiple=data.multiple, **_sizes(asked))


def _classified(asked: Preparation, rows: list[Row], *, shuffle: bool) -> Batches:
    data = asked.data
    examples = classified_examples(
        rows,
        asked.tokenizer,
        asked.labels,
        context=data.context,
        truncate=data.truncate,
        text=data.column("text"),
        second=data.columns.get("second"),
        label=_label(asked),
    )
    sizes = {"classes": len(asked.labels), "multiple": data.multiple, **_sizes(asked)}
    return Classified(list(examples), shuffle=shuffle, **sizes)


def _sequences(asked: Preparation, rows: list[Row], *, shuffle: bool) -> Batches:
    data = asked.data
    examples = pair_examples(
        rows,
        asked.tokenizer,
        context=data.context,
        truncate=data.truncate,
        source=data.column("source"),
        target=data.column("target"),
    )
    sizes = {"start": _start(asked), "multiple": data.multiple, **_sizes(asked)}
    return SequencePairs(list(examples), shuffle=shuffle, **sizes)


def _start(asked: Preparation) -> int:
    tokenizer = asked.tokenizer
    known = (asked.start, tokenizer.bos_id, tokenizer.pad_id, *tokenizer.eos_ids)
    found = next((token for token in known if token is not None), None)
    if found is None:
        raise InputError("expected a token that a decoder begins with, got a tokenizer without")
    return found


def _sizes(asked: Preparation) -> dict[str, int]:
    data = asked.data
    sizes = {"context": data.context, "batch": data.batch, "seed": data.seed}
    return {**sizes, "vocab": asked.vocab}


OBJECTIVES: Mapping[str, tuple[_Sides, _Make]] = MappingProxyType(
    {
        "causal": (_tokens, _causal),
        "masked": (_tokens, _masked),
        "instruction": (_lists, _instruction),
        _CLASSIFICATION: (_lists, _classified),
        "sequences": (_lists, _sequences),
    }
)
