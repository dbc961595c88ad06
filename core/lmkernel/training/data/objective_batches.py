"""The examples and batches of each objective, from tokens or rows as the objective reads them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from lmkernel.errors import InputError
from lmkernel.training.data import answers, scored, tagged_words, tagging
from lmkernel.training.data.causal_rows import CausalRows
from lmkernel.training.data.chat import chat_examples
from lmkernel.training.data.classification import (
    ClassifiedRows,
    classified_examples,
    label_names,
)
from lmkernel.training.data.denoising import marks_of
from lmkernel.training.data.openings import opening_ids
from lmkernel.training.data.pairs import SequencePairs, pair_examples
from lmkernel.training.data.rows import columns_of_uses
from lmkernel.training.data.span_corruption import SENTINELS, SpanCorruption, sentinel_ids
from lmkernel.training.data.text_infilling import TextInfilling
from lmkernel.training.data.transcripts import SpokenRows, spoken_examples
from lmkernel.training.data.windows import MaskedWindows, MaskingConfig, PackedCausal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lmkernel.speech.waves import WaveSettings
    from lmkernel.training.data.batches import Batches
    from lmkernel.training.data.causal_rows import CausalExample
    from lmkernel.training.data.classification import ClassifiedExample
    from lmkernel.training.data.pairs import PairExample
    from lmkernel.training.data.prepare import Preparation
    from lmkernel.training.data.rows import Row, Rows, UnusedColumns
    from lmkernel.training.data.tokens import Tokens
    from lmkernel.training.data.transcripts import SpokenExample

__all__ = [
    "answers_batches",
    "answers_examples",
    "causal_batches",
    "classification_batches",
    "classification_examples",
    "classification_names",
    "denoising_batches",
    "instruction_batches",
    "instruction_examples",
    "masked_batches",
    "scores_batches",
    "scores_examples",
    "scores_names",
    "sequences_batches",
    "sequences_examples",
    "tagging_batches",
    "tagging_examples",
    "tagging_names",
    "transcripts_batches",
    "transcripts_examples",
]


def causal_batches(asked: Preparation, tokens: Tokens, *, shuffle: bool) -> Batches:
    """Packed documents, of which every token is predicted."""
    ends = asked.tokenizer.eos_ids
    # a token that ends texts as well is predicted where it does
    opening = [token for token in opening_ids(asked.tokenizer) if token not in ends]
    return PackedCausal(tokens, opening=opening, shuffle=shuffle, **_sizes(asked))


def masked_batches(asked: Preparation, tokens: Tokens, *, shuffle: bool) -> Batches:
    """Windows of documents with some tokens hidden."""
    masking = MaskingConfig.of(asked.tokenizer)
    return MaskedWindows(tokens, masking, shuffle=shuffle, **_sizes(asked))


def denoising_batches(asked: Preparation, tokens: Tokens, *, shuffle: bool) -> Batches:
    """Windows of documents with spans hidden: behind sentinels, where there are some, or masks."""
    tokenizer, marks = asked.tokenizer, marks_of(asked.tokenizer, _start(asked))
    sizes = {**_sizes(asked), "vocab": min(asked.vocab, asked.target_vocab or asked.vocab)}
    sentinels, mask = sentinel_ids(tokenizer), tokenizer.mask_id
    if sentinels:
        return SpanCorruption(tokens, marks, sentinels=sentinels, shuffle=shuffle, **sizes)
    if mask is None:
        raise InputError(
            f"expected a tokenizer with sentinels such as {SENTINELS[0]} or with a mask_token, "
            "got one with neither"
        )
    return TextInfilling(tokens, marks, mask=mask, shuffle=shuffle, **sizes)


def instruction_examples(
    asked: Preparation, rows: Rows, unused: UnusedColumns
) -> Iterator[list[CausalExample]]:
    """Conversations in which the assistant's words are learned."""
    data = asked.data
    return chat_examples(
        rows,
        asked.tokenizer,
        context=data.context,
        truncate=data.truncate,
        turns=data.turns,
        columns=data.columns,
        unused=unused,
    )


def instruction_batches(
    asked: Preparation, examples: list[CausalExample], *, shuffle: bool
) -> Batches:
    """Rows of them."""
    return CausalRows(examples, shuffle=shuffle, multiple=asked.multiple, **_sizes(asked))


def classification_examples(
    asked: Preparation, rows: Rows, unused: UnusedColumns
) -> Iterator[list[ClassifiedExample]]:
    """Texts, or pairs of texts, with a class each."""
    data = asked.data
    text, second, label = asked.column("text"), data.columns.get("second"), asked.column("label")
    examples = classified_examples(
        _noting(rows, unused, {text, second or text, label}),
        asked.tokenizer,
        asked.labels,
        context=data.context,
        truncate=data.truncate,
        plain=asked.plain,
        text=text,
        second=second,
        label=label,
    )
    return ([example] for example in examples)


def classification_batches(
    asked: Preparation, examples: list[ClassifiedExample], *, shuffle: bool
) -> Batches:
    """Rows of them."""
    sizes = {"classes": len(asked.labels), "multiple": asked.multiple, **_sizes(asked)}
    return ClassifiedRows(examples, shuffle=shuffle, **sizes)


def classification_names(asked: Preparation, rows: Rows) -> tuple[str, ...]:
    """The distinct labels."""
    return label_names(rows, asked.column("label"))


def tagging_names(asked: Preparation, rows: Rows) -> tuple[str, ...]:
    """The distinct tags."""
    return tagging.tag_names(rows, asked.data.columns)


def tagging_examples(
    asked: Preparation, rows: Rows, unused: UnusedColumns
) -> Iterator[list[tagging.TaggedExample]]:
    """Texts with a tag for each word."""
    columns, context = asked.data.columns, asked.data.context
    noted = _noting_each(rows, unused, lambda row: tagged_words.used_columns(row, columns))
    return tagging.tagged_examples(
        noted, asked.tokenizer, asked.labels, context=context, columns=columns
    )


def tagging_batches(
    asked: Preparation, examples: list[tagging.TaggedExample], *, shuffle: bool
) -> Batches:
    """Rows of them."""
    sizes = {"multiple": asked.multiple, **_sizes(asked)}
    missing = tagging.missing_measures(asked.labels)
    if missing and not shuffle and asked.progress is not None:
        asked.progress.note(missing)
    return tagging.TaggedRows(examples, names=asked.labels, shuffle=shuffle, **sizes)


def answers_examples(
    asked: Preparation, rows: Rows, unused: UnusedColumns
) -> Iterator[list[answers.SpanExample]]:
    """Windows of documents with a question each."""
    columns, context = asked.data.columns, asked.data.context
    noted = _noting_each(rows, unused, lambda row: columns_of_uses(row, answers.KNOWN, columns))
    return answers.span_examples(noted, asked.tokenizer, context=context, columns=columns)


def answers_batches(
    asked: Preparation, examples: list[answers.SpanExample], *, shuffle: bool
) -> Batches:
    """Rows of them."""
    sizes = {"multiple": asked.multiple, **_sizes(asked)}
    return answers.SpanRows(examples, shuffle=shuffle, **sizes)


def scores_names(asked: Preparation, rows: Rows) -> tuple[str, ...]:
    """The one name that transformers gives to one output."""
    del asked, rows
    return ("LABEL_0",)


def scores_examples(
    asked: Preparation, rows: Rows, unused: UnusedColumns
) -> Iterator[list[scored.ScoredExample]]:
    """Pairs of texts with a score each."""
    data = asked.data
    examples = scored.scored_examples(
        _noting_each(rows, unused, lambda row: columns_of_uses(row, scored.KNOWN, data.columns)),
        asked.tokenizer,
        context=data.context,
        columns=data.columns,
        truncate=data.truncate,
        plain=asked.plain,
    )
    return ([example] for example in examples)


def scores_batches(
    asked: Preparation, examples: list[scored.ScoredExample], *, shuffle: bool
) -> Batches:
    """Rows of them."""
    if len(asked.labels) != 1:
        raise InputError(
            f"expected a model with one output, or none yet, got classes {', '.join(asked.labels)}"
        )
    sizes = {"multiple": asked.multiple, **_sizes(asked)}
    return scored.ScoredRows(examples, shuffle=shuffle, **sizes)


def sequences_examples(
    asked: Preparation, rows: Rows, unused: UnusedColumns
) -> Iterator[list[PairExample]]:
    """Sources with the targets that are predicted token by token."""
    data = asked.data
    source, target = asked.column("source"), asked.column("target")
    examples = pair_examples(
        _noting(rows, unused, {source, target}),
        asked.tokenizer,
        context=data.context,
        truncate=data.truncate,
        source=source,
        target=target,
    )
    return ([example] for example in examples)


def sequences_batches(asked: Preparation, examples: list[PairExample], *, shuffle: bool) -> Batches:
    """Rows of them."""
    sizes = {"start": _start(asked), "multiple": asked.multiple, **_sizes(asked)}
    return SequencePairs(examples, shuffle=shuffle, target_vocab=asked.target_vocab, **sizes)


def transcripts_examples(
    asked: Preparation, rows: Rows, unused: UnusedColumns
) -> Iterator[list[SpokenExample]]:
    """Sounds with what is spoken in them."""
    sound, text = asked.column("sound"), asked.column("text")
    examples = spoken_examples(
        _noting(rows, unused, {sound, text}),
        asked.tokenizer,
        _hearing(asked),
        folder=asked.data.train,
        sound=sound,
        text=text,
    )
    return ([example] for example in examples)


def transcripts_batches(
    asked: Preparation, examples: list[SpokenExample], *, shuffle: bool
) -> Batches:
    """Rows of them."""
    if not shuffle and find_spec("jiwer") is None and asked.progress is not None:
        asked.progress.note(
            "the word error rate is not measured: jiwer is missing; pip install 'lmkernel[metrics]'"
        )
    return SpokenRows(
        examples,
        asked.tokenizer,
        _hearing(asked),
        batch=asked.batch,
        seed=asked.seed,
        shuffle=shuffle,
        multiple=asked.multiple,
    )


def _hearing(asked: Preparation) -> WaveSettings:
    if asked.hearing is None:
        raise InputError("expected a model of samples, got one that hears nothing")
    return asked.hearing


def _noting(rows: Rows, unused: UnusedColumns, used: set[str]) -> Iterator[Row]:
    """The rows, while note is taken of the columns that are left over."""
    return _noting_each(rows, unused, lambda _: {name: name for name in used})


def _noting_each(
    rows: Rows, unused: UnusedColumns, used: Callable[[Row], Mapping[str, str]]
) -> Iterator[Row]:
    """The same, where each row says which of its columns are used, by use."""
    for row in rows:
        unused.note(row, set(used(row).values()))
        yield row


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
