"""Classification of texts or of pairs of texts (BERT, arXiv:1810.04805 §4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack, final

import numpy as np

from lmkernel.errors import InputError, shown
from lmkernel.tokenizers.sentences import sentence_ids
from lmkernel.training.data.batches import Batch, PaddedBatches, PaddedCut
from lmkernel.training.data.order import digest_of
from lmkernel.training.data.ragged import Ragged
from lmkernel.training.data.rows import class_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.rows import Row

__all__ = ["ClassifiedExample", "ClassifiedRows", "classified_examples", "label_names"]


@final
@dataclass(frozen=True, slots=True)
class ClassifiedExample:
    """One example.

    Args:
        ids: its tokens, with those that surround a text.
        segments: 0 or 1 for each, for the first or the second text.
        label: number of its class.
        where: it comes from.
    """

    ids: Sequence[int]
    segments: Sequence[int]
    label: int
    where: str


@final
class ClassifiedRows(PaddedBatches):
    """A row for each example, as long as the longest of its batch, rounded up to ``multiple``.

    ``inputs``, ``positions`` (-1 at padding) and ``segments`` are ``(batch, time)``; ``targets``,
    the classes, is ``(batch,)``.

    Args:
        examples: from `classified_examples`, or already tokenised.
        classes: how many there are.
        vocab: tokens that the model knows.
        cut: see `PaddedCut`.

    Raises:
        InputError: names the example that is too long, empty, or holds a token outside the
            vocabulary or a label outside the classes.
    """

    def __init__(
        self,
        examples: Sequence[ClassifiedExample],
        *,
        classes: int,
        vocab: int,
        **cut: Unpack[PaddedCut],
    ) -> None:
        super().__init__(len(examples), **cut)
        places = [example.where for example in examples]
        self._inputs = Ragged(e.ids for e in examples)
        self._segments = Ragged(e.segments for e in examples)
        self._inputs.check_tokens(vocab, places)
        self._inputs.check_lengths(self._context, places)
        for example in examples:
            _check(example, classes)
        self._labels = np.array([e.label for e in examples], np.int32)

    def at(self, index: int) -> Batch:
        """``inputs``, ``positions``, ``segments`` and ``targets``."""
        rows, real, _ = self._order.at(index)
        positions = self._positions(self._inputs.lengths[rows])
        targets = self._labels[rows]
        targets[real:] = -1
        return {
            "inputs": self._inputs.pad_rows(rows, positions.shape[1], 0),
            "positions": positions,
            "segments": self._segments.pad_rows(rows, positions.shape[1], 0),
            "targets": targets,
        }

    @property
    def digest(self) -> str:
        """Of examples, context and order; not of the padding, which backends choose."""
        parts = (*self._inputs.parts(), *self._segments.parts(), self._labels)
        return digest_of("classified", *parts, self._context, self._order.parts)


def _check(example: ClassifiedExample, classes: int) -> None:
    if not 0 <= example.label < classes:
        raise InputError(
            f"{example.where}: expected a class in 0 … {classes - 1}, got {example.label}"
        )
    if len(example.segments) != len(example.ids):
        raise InputError(
            f"{example.where}: expected a segment for each of {len(example.ids)} tokens, "
            f"got {len(example.segments)}"
        )


def label_names(rows: Iterable[Row], column: str = "label") -> tuple[str, ...]:
    """The distinct labels of rows, sorted: by value if all are whole numbers, else as texts.

    Raises:
        InputError: names the row whose label is neither a text nor a whole number, too long a one,
            or empty; or all rows have the same, of which nothing can be learned.
    """
    names: dict[str, str] = {}
    for row in rows:
        names.setdefault(_label(row, column), row.where)
    if len(names) == 1:
        [(name, where)] = names.items()
        raise InputError(
            f"{where}: expected rows of two labels or more in the column {column!r}, got "
            f"{shown(name)} alone"
        )
    numeric = all(name.removeprefix("-").isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numeric else 0, name)))


def _label(row: Row, column: str) -> str:
    value = row.column(column)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError(
            f"{row.where}: expected a text or a whole number in the column {column!r}, "
            f"got {shown(value)}"
        )
    name = class_name(row, value)
    if not name.strip():
        raise InputError(f"{row.where}: expected a label in the column {column!r}, got none")
    return name


def classified_examples(
    rows: Iterable[Row],
    tokenizer: Tokenizer,
    names: Sequence[str],
    *,
    context: int,
    truncate: bool = False,
    plain: bool = False,
    text: str = "text",
    second: str | None = None,
    label: str = "label",
) -> Iterator[ClassifiedExample]:
    """One example for each row; its class is the place of its label among ``names``.

    Args:
        rows: with the columns.
        tokenizer: with ``cls_token`` and ``sep_token``.
        names: of the classes, such as from `label_names` of the training rows.
        context: most tokens of an example.
        truncate: cut what is longer, of two texts the longer one first, at its end.
        plain: whether texts stand as they are where the tokenizer says nothing, as decoders have
            them.
        text: name of the column of the first text.
        second: name of that of the second, if there is one.
        label: name of that of the label.

    Raises:
        InputError: names the row that is too long, lacks a column, or has a label outside
            ``names``.
    """
    classes = {name: number for number, name in enumerate(names)}
    for row in rows:
        texts = [row.text(column) for column in (text, second) if column is not None]
        try:
            ids, segments = sentence_ids(tokenizer, texts, context, truncate=truncate, plain=plain)
        except InputError as error:
            raise InputError(f"{row.where}: {error}") from error
        yield ClassifiedExample(ids, segments, _class(row, label, classes), row.where)


def _class(row: Row, column: str, classes: dict[str, int]) -> int:
    name = _label(row, column)
    if name not in classes:
        raise InputError(
            f"{row.where}: expected one of the labels {', '.join(classes)} in the column "
            f"{column!r}, got {shown(name)}"
        )
    return classes[name]
