"""Answers as spans of a document (BERT, arXiv:1810.04805 §4.2 and §4.3).

Rows have a question, a document and its answers as SQuAD has them: ``{"text": […],
"answer_start": […]}``, empty lists where the document has none.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Unpack, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.tasks.answering import best_span, question_windows
from lmkernel.training.data.batches import Batch, MeasuredBatches, PaddedCut
from lmkernel.training.data.order import digest_of
from lmkernel.training.data.ragged import Ragged
from lmkernel.training.data.rows import columns_of_uses, parsed_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.tokenizers import Tokenizer
    from lmkernel.tokenizers.sentences import Sentence
    from lmkernel.training.data.rows import Row

__all__ = ["SpanExample", "SpanRows", "exact_match", "span_examples", "span_f1"]

KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "question": ("question", "query"),
        "context": ("context", "document", "passage"),
        "answers": ("answers", "answer"),
    }
)
"""The names that a column of each use may have, the first that is there; a setting names others."""
_LONGEST = 30


@final
@dataclass(frozen=True, slots=True)
class SpanExample:
    """One window of a document with its question.

    Args:
        window: the tokens and where they are.
        cls: the position that stands for no answer.
        start, end: the positions of the first and last token of the answer; both ``cls`` where the
            window has none.
        question: the question and the document.
        answers: the texts that are right; none where there is no answer.
        where: it comes from.
    """

    window: Sentence
    cls: int
    start: int
    end: int
    question: tuple[str, str]
    answers: tuple[str, ...]
    where: str


@final
class SpanRows(MeasuredBatches):
    """A row for each window, as long as the longest of its batch, rounded up to ``multiple``.

    ``inputs``, ``positions`` (-1 at padding) and ``segments`` are ``(batch, time)``; ``targets``
    is float32 ``(batch, time, 2)``: 1 where the answer starts and where it ends, 0 where it might,
    -1 where it cannot.

    Args:
        examples: from `span_examples`.
        vocab: tokens that the model knows.
        cut: see `PaddedCut`.
    """

    def __init__(
        self, examples: Sequence[SpanExample], *, vocab: int, **cut: Unpack[PaddedCut]
    ) -> None:
        super().__init__(len(examples), **cut)
        self._examples = list(examples)
        places = [example.where for example in examples]
        self._inputs = Ragged(e.window.ids for e in examples)
        self._inputs.check_tokens(vocab, places)
        self._inputs.check_lengths(self._context, places)
        self._segments = Ragged(e.window.segments for e in examples)
        self._batch = cut["batch"]

    def at(self, index: int) -> Batch:
        """``inputs``, ``positions``, ``segments`` and ``targets``."""
        rows, real, _ = self._order.at(index)
        positions = self._positions(self._inputs.lengths[rows])
        length = positions.shape[1]
        targets = np.full((len(rows), length, 2), -1, np.float32)
        for line, row in zip(targets[:real], rows, strict=False):
            example = self._examples[row]
            line[np.flatnonzero([text == 1 for text, _, _ in example.window.places])] = 0
            line[example.cls] = 0
            line[example.start, 0] = line[example.end, 1] = 1
        return {
            "inputs": self._inputs.pad_rows(rows, length, 0),
            "positions": positions,
            "segments": self._segments.pad_rows(rows, length, 0),
            "targets": targets,
        }

    def scores(self, outputs: Iterable[tuple[Batch, NDArray[Any]]]) -> dict[str, float]:
        """``exact_match`` and ``span_f1`` of SQuAD's own script, the mean over the questions.

        The outputs are those of all batches in order.
        """
        best: dict[tuple[str, str, str], tuple[str, float, float]] = {}
        right: dict[tuple[str, str, str], tuple[str, ...]] = {}
        rows = (row for _, output in outputs for row in output)
        for example, logits in zip(self._examples, rows, strict=False):
            found, none = best_span(
                example.question, example.window, example.cls, logits.astype(np.float64), _LONGEST
            )
            key = (*example.question, example.where)
            text, score, before = best.get(key, ("", -1.0, 1.0))
            if found.score > score:
                text, score = found.text, found.score
            best[key], right[key] = (text, score, min(none, before)), example.answers
        said = {key: "" if none > score else text for key, (text, score, none) in best.items()}
        return {
            "exact_match": float(np.mean([exact_match(said[key], right[key]) for key in said])),
            "span_f1": float(np.mean([span_f1(said[key], right[key]) for key in said])),
        }

    @property
    def digest(self) -> str:
        """Of examples, context and order; not of the padding, which backends choose."""
        spans = np.array([(e.start, e.end) for e in self._examples], np.int64)
        parts = (*self._inputs.parts(), *self._segments.parts(), spans)
        return digest_of("spans", *parts, self._context, self._order.parts)


def span_examples(
    rows: Iterable[Row], tokenizer: Tokenizer, *, context: int, columns: Mapping[str, str]
) -> Iterator[list[SpanExample]]:
    """The windows of each row's document.

    Args:
        rows: in the form above.
        tokenizer: that puts special tokens around two texts.
        context: most tokens of a window.
        columns: the names of columns that have others.

    Raises:
        InputError: names the row that cannot be read, or whose answer does not stand where it says
            or is in no window.
    """
    for row in rows:
        found = columns_of_uses(row, KNOWN, columns)
        question = row.text(found["question"]), row.text(found["context"])
        answers = _answers(row, found["answers"], question[1])
        span = (answers[0][0], answers[0][0] + len(answers[0][1])) if answers else None
        texts = tuple(dict.fromkeys(text for _, text in answers))
        made = [
            SpanExample(window, cls, *_tokens(window, cls, span), question, texts, row.where)
            for window, cls in question_windows(tokenizer, question, context)
        ]
        if answers and all(one.start == one.cls for one in made):
            raise InputError(
                f"{row.where}: expected an answer that a window of {context} tokens or fewer holds "
                f"from its first character to its last, got {answers[0][1]!r:.60}"
            )
        yield made


def _answers(row: Row, column: str, document: str) -> list[tuple[int, str]]:
    """Where each answer begins, and its text, without the spaces around it, which no token has."""
    value = row.column(column)
    if isinstance(found := parsed_value(value), dict) and found.keys() >= {*_SQUAD}:
        value = found
    if isinstance(value, str):
        value = {"text": [value.strip()], "answer_start": [document.find(value.strip())]}
    texts, starts = (value.get(k) if isinstance(value, dict) else None for k in _SQUAD)
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        raise InputError(
            f"{row.where}: expected a text, or an object with the lists text and answer_start, in "
            f"{column!r}, got {value!r:.60}"
        )
    pairs = list(zip(starts, texts, strict=True))
    for start, text in pairs:
        there = isinstance(text, str) and type(start) is int and text.strip() and start >= 0
        if not there or document[start : start + len(text)] != text:
            raise InputError(
                f"{row.where}: expected an answer that stands in the document, got {text!r:.60} "
                f"at {start!r}"
            )
    return [(start + len(text) - len(text.lstrip()), text.strip()) for start, text in pairs]


_SQUAD = ("text", "answer_start")


def _tokens(window: Sentence, cls: int, span: tuple[int, int] | None) -> tuple[int, int]:
    """The first and last token of a span; ``cls`` twice where it is not all in the window."""
    if span is None:
        return cls, cls
    over = [
        i
        for i, (text, start, end) in enumerate(window.places)
        if text == 1 and start < span[1] and span[0] < end
    ]
    whole = over and window.places[over[0]][1] <= span[0] and span[1] <= window.places[over[-1]][2]
    return (over[0], over[-1]) if whole else (cls, cls)


def exact_match(said: str, right: Sequence[str]) -> float:
    """1 if an answer is one of the right ones, but for case, punctuation and articles."""
    return float(any(_plain(said) == _plain(one) for one in right or ("",)))


def span_f1(said: str, right: Sequence[str]) -> float:
    """The F1 of an answer's words beside those of the right answer that it is nearest to."""
    return max(_f1(_plain(said), _plain(one)) for one in right or ("",))


def _f1(said: list[str], right: list[str]) -> float:
    if not said or not right:
        return float(said == right)
    both = sum((Counter(said) & Counter(right)).values())
    return 2 * both / (len(said) + len(right))


def _plain(text: str) -> list[str]:
    """The words that SQuAD's script compares (arXiv:1606.05250, §6.1)."""
    bare = "".join(x for x in text.lower() if x not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()
