"""Pairs of texts with a score, such as a query with a document that fits it or not.

A row has two texts and a number in 0 … 1; what is learned is the sigmoid of one output, as
cross-encoders have it (arXiv:1901.04085, §2).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Unpack, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.tokenizers.sentences import sentence_ids
from lmkernel.training.data.batches import Batch, MeasuredBatches, PaddedCut
from lmkernel.training.data.order import digest_of
from lmkernel.training.data.ragged import Ragged
from lmkernel.training.data.rows import columns_of_uses, parsed_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.rows import Row

__all__ = ["ScoredExample", "ScoredRows", "scored_examples"]

KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "text": ("text", "query", "question", "sentence1", "anchor"),
        "second": ("second", "document", "passage", "answer", "sentence2"),
        "score": ("score", "label", "similarity", "relevance"),
    }
)
"""The names that a column of each use may have, the first that is there; a setting names others."""
_FEW = 2


@final
@dataclass(frozen=True, slots=True)
class ScoredExample:
    """One pair.

    Args:
        ids: its tokens, with those that surround the texts.
        segments: 0 or 1 for each, for the first or the second text.
        score: in 0 … 1.
        first: the first text; those with the same one are ranked together.
        where: it comes from.
    """

    ids: Sequence[int]
    segments: Sequence[int]
    score: float
    first: str
    where: str


@final
class ScoredRows(MeasuredBatches):
    """A row for each pair, as long as the longest of its batch, rounded up to ``multiple``.

    ``inputs``, ``positions`` (-1 at padding) and ``segments`` are ``(batch, time)``; ``targets``,
    the scores, is float32 ``(batch, 1)``, -1 for rows that only fill the batch.

    Args:
        examples: from `scored_examples`.
        vocab: tokens that the model knows.
        cut: see `PaddedCut`.
    """

    def __init__(
        self, examples: Sequence[ScoredExample], *, vocab: int, **cut: Unpack[PaddedCut]
    ) -> None:
        super().__init__(len(examples), **cut)
        places = [example.where for example in examples]
        self._examples = list(examples)
        self._inputs = Ragged(e.ids for e in examples)
        self._inputs.check_tokens(vocab, places)
        self._inputs.check_lengths(self._context, places)
        self._segments = Ragged(e.segments for e in examples)
        self._scores = np.array([e.score for e in examples], np.float32)

    def at(self, index: int) -> Batch:
        """``inputs``, ``positions``, ``segments`` and ``targets``."""
        rows, real, _ = self._order.at(index)
        positions = self._positions(self._inputs.lengths[rows])
        targets = self._scores[rows][:, None]
        targets[real:] = -1
        return {
            "inputs": self._inputs.pad_rows(rows, positions.shape[1], 0),
            "positions": positions,
            "segments": self._segments.pad_rows(rows, positions.shape[1], 0),
            "targets": targets,
        }

    def scores(self, outputs: Iterable[tuple[Batch, NDArray[Any]]]) -> dict[str, float]:
        """``spearman``, and ``ndcg`` over the ten best where a first text has several others.

        The outputs are those of all batches in order. A measure that is undefined, as where all
        scores are equal, is left out; ``ndcg`` is measured with scikit-learn where it is there.
        """
        from importlib.util import find_spec

        from scipy.stats import spearmanr

        found = np.concatenate([output[:, 0] for _, output in outputs])[: len(self._examples)]
        found = found.astype(np.float64)
        measures = {}
        if min(len(set(x.tolist())) for x in (self._scores, found)) >= _FEW:
            measures["spearman"] = float(spearmanr(self._scores, found).statistic)
        groups: dict[str, list[int]] = {}
        for number, example in enumerate(self._examples):
            groups.setdefault(example.first, []).append(number)
        ranked = [g for g in groups.values() if len(g) >= _FEW and self._scores[g].max() > 0]
        if ranked and find_spec("sklearn") is not None:
            from sklearn.metrics import ndcg_score

            each = [ndcg_score([self._scores[g]], [found[g]], k=10) for g in ranked]
            measures["ndcg"] = float(np.mean(each))
        return measures

    @property
    def digest(self) -> str:
        """Of examples, context and order; not of the padding, which backends choose."""
        parts = (*self._inputs.parts(), *self._segments.parts(), self._scores)
        return digest_of("scored", *parts, self._context, self._order.parts)


def scored_examples(
    rows: Iterable[Row],
    tokenizer: Tokenizer,
    *,
    context: int,
    columns: Mapping[str, str],
    truncate: bool = False,
    plain: bool = False,
) -> Iterator[ScoredExample]:
    """One example for each row.

    Args:
        rows: with the columns.
        tokenizer: that puts special tokens around two texts.
        context: most tokens of an example.
        columns: the names of columns that have others.
        truncate: cut what is longer, of two texts the longer one first, at its end.
        plain: whether texts stand as they are where the tokenizer says nothing, as decoders have
            them.

    Raises:
        InputError: names the row that is too long, lacks a column, or has a score out of bounds.
    """
    for row in rows:
        found = columns_of_uses(row, KNOWN, columns)
        texts = [row.text(found["text"]), row.text(found["second"])]
        score = parsed_value(row.column(found["score"]))
        number = isinstance(score, int | float) and not isinstance(score, bool)
        if not number or not 0 <= score <= 1:
            raise InputError(
                f"{row.where}: expected a score in 0 … 1 in the column {found['score']!r}, "
                f"got {score!r:.40}; divide those of another scale by its largest"
            )
        try:
            row_ids = sentence_ids(tokenizer, texts, context, truncate=truncate, plain=plain)
        except InputError as error:
            raise InputError(f"{row.where}: {error}") from error
        yield ScoredExample(*row_ids, float(score), texts[0], row.where)
