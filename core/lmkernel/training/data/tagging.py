"""Tagging of words, such as names in a text (BERT, arXiv:1810.04805 §5.3).

Rows have words and their tags (``tokens`` and ``tags``), or a text and its spans (``text`` and
``entities``). A word's first token has its tag; the others are not learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Unpack, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.tokenizers.sentences import sentence_windows
from lmkernel.training.data.batches import Batch, MeasuredBatches, PaddedCut
from lmkernel.training.data.order import digest_of
from lmkernel.training.data.ragged import Ragged
from lmkernel.training.data.tagged_words import PREFIXES, read_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.rows import Row

__all__ = [
    "TaggedExample",
    "TaggedRows",
    "missing_measures",
    "tag_names",
    "tagged_examples",
]


@final
@dataclass(frozen=True, slots=True)
class TaggedExample:
    """One example.

    Args:
        ids: its tokens, with those that surround a text.
        tags: the number of the tag of each token, -1 where there is nothing to learn.
        where: it comes from.
    """

    ids: Sequence[int]
    tags: Sequence[int]
    where: str


@final
class TaggedRows(MeasuredBatches):
    """A row for each example, as long as the longest of its batch, rounded up to ``multiple``.

    ``inputs``, ``positions`` (-1 at padding), ``segments`` (0) and ``targets``, -1 where there is
    nothing to learn, are ``(batch, time)``.

    Args:
        examples: from `tagged_examples`.
        names: of the tags.
        vocab: tokens that the model knows.
        cut: see `PaddedCut`.
    """

    def __init__(
        self,
        examples: Sequence[TaggedExample],
        *,
        names: Sequence[str],
        vocab: int,
        **cut: Unpack[PaddedCut],
    ) -> None:
        super().__init__(len(examples), **cut)
        places = [example.where for example in examples]
        self._names = tuple(names)
        self._inputs = Ragged(e.ids for e in examples)
        self._inputs.check_tokens(vocab, places)
        self._inputs.check_lengths(self._context, places)
        self._tags = Ragged(e.tags for e in examples)

    def at(self, index: int) -> Batch:
        """``inputs``, ``positions``, ``segments`` and ``targets``."""
        rows, real, _ = self._order.at(index)
        positions = self._positions(self._inputs.lengths[rows])
        inputs = self._inputs.pad_rows(rows, positions.shape[1], 0)
        targets = self._tags.pad_rows(rows, positions.shape[1], -1)
        targets[real:] = -1
        segments = np.zeros_like(inputs)
        return {"inputs": inputs, "positions": positions, "segments": segments, "targets": targets}

    def scores(self, outputs: Iterable[tuple[Batch, NDArray[Any]]]) -> dict[str, float]:
        """``entity_f1``, ``entity_precision`` and ``entity_recall`` by seqeval, where it is there.

        Tags that begin and go on with ``B-`` and ``I-`` make entities; an entity is right if its
        label and both its ends are.
        """
        if not has_entities(self._names) or find_spec("seqeval") is None:
            return {}
        from seqeval.metrics import f1_score, precision_score, recall_score

        right: list[list[str]] = []
        found: list[list[str]] = []
        for batch, output in outputs:
            for tags, row in zip(batch["targets"], output.argmax(-1), strict=True):
                learned = np.flatnonzero(tags >= 0)
                right.append([self._names[int(tags[i])] for i in learned])
                found.append([self._names[int(row[i])] for i in learned])
        measures = {"f1": f1_score, "precision": precision_score, "recall": recall_score}
        return {
            f"entity_{name}": float(measure(right, found, zero_division=0))
            for name, measure in measures.items()
        }

    @property
    def digest(self) -> str:
        """Of examples, names, context and order; not of the padding, which backends choose."""
        parts = (*self._inputs.parts(), *self._tags.parts())
        return digest_of("tagged", *parts, list(self._names), self._context, self._order.parts)


def has_entities(names: Sequence[str]) -> bool:
    """Whether tags begin and go on with ``B-`` and ``I-``."""
    return any(name.startswith(PREFIXES) for name in names)


def missing_measures(names: Sequence[str]) -> str:
    """What to say where the library is missing that measures tags; else empty."""
    if not has_entities(names) or find_spec("seqeval"):
        return ""
    return "entity F1 is not measured: seqeval is missing; pip install 'lmkernel[metrics]'"


def tag_names(rows: Iterable[Row], columns: Mapping[str, str]) -> tuple[str, ...]:
    """The distinct tags of rows, sorted: by value if all are whole numbers, else as texts.

    Raises:
        InputError: names the row that cannot be read.
    """
    names = {tag for row in rows for *_, tag in read_words(row, columns)[1]}
    numeric = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numeric else 0, name)))


def tagged_examples(
    rows: Iterable[Row],
    tokenizer: Tokenizer,
    names: Sequence[str],
    *,
    context: int,
    columns: Mapping[str, str],
) -> Iterator[list[TaggedExample]]:
    """The examples of each row: one, or several windows of a text beyond the context.

    Args:
        rows: in one of the forms above.
        tokenizer: that puts special tokens around a text.
        names: of the tags, such as from `tag_names` of the training rows.
        context: most tokens of an example.
        columns: the names of columns that have others.

    Raises:
        InputError: names the row that cannot be read, or has a tag outside ``names``.
    """
    numbers = {name: number for number, name in enumerate(names)}
    for row in rows:
        text, words = read_words(row, columns)
        first = {}  # by the character that a word begins at
        for start, end, tag in words:
            if tag not in numbers:
                known = ", ".join(numbers)
                raise InputError(f"{row.where}: expected one of the tags {known}, got {tag!r:.60}")
            first.update(dict.fromkeys(range(start, end), (start, numbers[tag])))
        examples, done = [], set()
        for window in sentence_windows(tokenizer, [text], context):
            tags = []
            for _, _, end in window.places:
                # some tokenizers count the space before a word to its token
                word = first.get(end - 1) if end else None
                tags.append(-1 if word is None or word in done else word[1])
                done.add(word)
            examples.append(TaggedExample(window.ids, tags, row.where))
        yield examples
