"""Answers beside a place of the reference: how far each row is off there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.comparison.metrics import log_softmax
from lmkernel.errors import SubjectError
from lmkernel.verification.budgets import deviation
from lmkernel.verification.one_run import Input
from lmkernel.verification.running import ENDS, HIDDEN, LOGITS, VECTOR
from lmkernel.verification.sentences import sentence_view
from lmkernel.verification.sequences import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.verification.answers import RowAnswer
    from lmkernel.verification.guards import Answers
    from lmkernel.verification.part import Part
    from lmkernel.verification.running import Place
    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Kind

__all__ = ["Cell", "as_input", "cell_of", "each_answer", "end_of", "view_of"]


@final
@dataclass(frozen=True)
class Cell:
    """One activation of one row in one question.

    Args:
        activation: its name.
        question: the question's name.
        row: the row's name.
        error: the largest difference from float64.
        honest: that as a multiple of the largest honest error; 0 where there is none.
        share: the share of its budget that the worst channel uses.
    """

    activation: str
    question: str
    row: str
    error: float
    honest: float
    share: float


def as_input(one: Row | Question) -> Input:
    """A row alone, or the rows of a question."""
    positions, ids, target = (
        np.atleast_2d(np.asarray(x, np.int32)) for x in (one.positions, one.ids, one.target)
    )
    source = one.source
    if isinstance(one, Row) and source is not None:
        source = source[None]
    target_or_none = target if target.size else None
    if ids.size:
        return Input(ids, positions, target_or_none, pictures=source)
    return Input(ids, positions, target_or_none, source)


def end_of(kind: Kind) -> str:
    """What a run ends in that is compared with answers of a kind."""
    return {"hidden": HIDDEN, "vectors": VECTOR}.get(kind, LOGITS)


def view_of(
    part: Part, kind: Kind, rows: Sequence[Row]
) -> Callable[[int, NDArray[Any]], NDArray[np.float64]]:
    """What is compared of logits ``(1, time, size)``: themselves, or log-probabilities.

    Of hidden vectors ``(1, time, width)``, where there is no head: themselves, or the sentence's.
    """
    sentence = sentence_view(part) if kind == "vectors" else None

    def view(number: int, logits: NDArray[Any]) -> NDArray[np.float64]:
        if sentence is not None:
            return sentence(logits).astype(np.float64)
        logits = logits.reshape(1, -1, logits.shape[-1])  # where the head pools, of one position
        if kind in ("logits", "hidden"):
            return logits.astype(np.float64)
        all_of_them = log_softmax(logits)
        if kind == "log_probs":
            return all_of_them
        if kind == "best_log_probs":
            best: NDArray[np.float64] = all_of_them.max(-1, keepdims=True)
            return best
        following = np.asarray(rows[number].answered[1:], np.int64)
        return all_of_them[:, np.arange(len(following)), following][..., None]

    return view


def each_answer(
    asked: Sequence[Question], answers: Answers
) -> Iterator[tuple[Question, Row, RowAnswer]]:
    """Each row of each question, with what was said to it."""
    for question in asked:
        for row, answer in zip(question.rows, answers[question.name], strict=True):
            yield question, row, answer


def cell_of(
    place: Place,
    at: int,
    question: Question,
    row: Row,
    answer: RowAnswer,
    dtype: str,
    keep: NDArray[np.bool_] | None = None,
) -> Cell | None:
    """How far one row is off at one place; None if the subject does not give it.

    Args:
        place: the activation.
        at: the number of the row's input there.
        question: what was asked.
        row: the row.
        answer: what the subject says to it.
        dtype: of the subject's computation.
        keep: the positions of the row that are judged, ``(time,)``; by default all.

    Raises:
        SubjectError: an activation of another shape.
    """
    name, want = place.name, place.reference[at]
    first = 0
    if name in ENDS:
        first = answer.first
        want, got = want[:, first:], answer.values[None, first:]
        got = answer.nearest(want) if got.shape == want.shape else got
    elif name in answer.activations:
        got = answer.activations[name][None]
    else:
        return None
    if got.shape != want.shape:
        raise SubjectError(f"{name}: expected the shape {want.shape}, got {got.shape}")
    if keep is not None:
        # log-probabilities of the next token are one fewer than positions
        kept = keep[first : first + want.shape[1]]
        want, got = want[:, kept], got[:, kept]
        if not kept.any():
            return None
    both_lost = np.isneginf(got) & np.isneginf(want)
    got = np.where(both_lost, 0.0, got.astype(np.float64))
    want = np.where(both_lost, 0.0, want)
    found = deviation(place.limits[at], got, want, dtype)
    honest = found.honest if np.isfinite(found.honest) else 0.0
    return Cell(found.activation, question.name, row.name, found.error, honest, found.share)
