"""Answers beside the reference: how far off each activation is, and where the first is too far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.comparison.metrics import Measured, Metrics, log_softmax, measure
from lmkernel.errors import SubjectError
from lmkernel.numerics import FACTOR, float32_ulps
from lmkernel.verification.answers import PER_TOKEN
from lmkernel.verification.arithmetic import dtype_of
from lmkernel.verification.budgets import deviation
from lmkernel.verification.guards import Guard
from lmkernel.verification.running import LOGITS, Input, reference_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.comparison.layers import Deviation, Limit
    from lmkernel.origin import Origin
    from lmkernel.verification.answers import RowAnswer
    from lmkernel.verification.guards import Answers
    from lmkernel.verification.prompts import Prompts
    from lmkernel.verification.running import Place, Variant
    from lmkernel.verification.sequences import Question, Row
    from lmkernel.verification.subject import Kind

__all__ = ["Cell", "Judgement", "as_input", "judge", "view_of"]


_SHIFTED = 0.1
"""The largest share of a difference that may be left without a constant that explains it."""


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


@final
@dataclass(frozen=True, kw_only=True)
class Judgement:
    """All that follows from the answers and the reference.

    Args:
        cells: in the order of the run.
        kind: what was compared at the end.
        metrics: the numbers that people know.
        guards: what was found on the way.
        reference: the logits in float64 of each row, ``(1, time, size)``, by name.
        limits: the budgets at the end, by row.
    """

    cells: tuple[Cell, ...]
    kind: Kind
    metrics: Metrics
    guards: tuple[Guard, ...]
    reference: Mapping[str, NDArray[np.float64]] = field(repr=False)
    limits: Mapping[str, Limit] = field(repr=False)


def as_input(one: Row | Question) -> Input:
    """A row alone, or the rows of a question."""
    positions, ids = np.asarray(one.positions, np.int32), np.asarray(one.ids, np.int32)
    return Input(np.atleast_2d(ids), np.atleast_2d(positions))


def view_of(kind: Kind, rows: Sequence[Row]) -> Callable[[int, NDArray[Any]], NDArray[np.float64]]:
    """What is compared of logits ``(1, time, size)``: themselves, or log-probabilities."""

    def view(number: int, logits: NDArray[Any]) -> NDArray[np.float64]:
        logits = logits.reshape(1, -1, logits.shape[-1])  # where the head pools, of one position
        if kind == "logits":
            return logits.astype(np.float64)
        all_of_them = log_softmax(logits)
        if kind == "log_probs":
            return all_of_them
        if kind == "best_log_probs":
            best: NDArray[np.float64] = all_of_them.max(-1, keepdims=True)
            return best
        following = np.asarray(rows[number].ids[1:], np.int64)
        return all_of_them[:, np.arange(len(following)), following][..., None]

    return view


def judge(
    origin: Origin,
    prompts: Prompts,
    answers: Answers,
    kind: Kind,
    dtype: str,
    *,
    variant: Variant | None = None,
) -> Judgement:
    """The answers beside the reference, or beside a changed model.

    Args:
        origin: the checkpoint.
        prompts: what was asked.
        answers: those of the questions that were asked, by name.
        kind: what they are.
        dtype: of the subject's computation.
        variant: another model in place of the checkpoint's own.
    """
    asked = [q for q in prompts.questions if q.name in answers]
    needed = {row.name for q in asked for row in q.rows}
    rows = [row for row in prompts.rows if row.name in needed]
    number = {row.name: i for i, row in enumerate(rows)}
    raw: dict[str, NDArray[np.float64]] = {}
    own_view = view_of(kind, rows)

    def view(i: int, logits: NDArray[Any]) -> NDArray[np.float64]:
        raw.setdefault(rows[i].name, logits)  # the reference's come first
        return own_view(i, logits)

    cells: list[Cell] = []
    names: list[str] = []
    last: Place | None = None
    inputs = [as_input(r) for r in rows]
    for place in reference_places(origin, inputs, view, variant, arithmetic=dtype):
        last = place
        names.append(place.name)
        for question, row, answer in _each(asked, answers):
            at = number[row.name]
            found = _deviation(place, at, answer, dtype)
            if found is not None:
                cells.append(_cell(found, question, row))
    if last is None:
        raise AssertionError("expected a run, which has at least the logits")
    limits = {row.name: last.limits[i] for i, row in enumerate(rows)}
    reference = {row.name: last.reference[i] for i, row in enumerate(rows)}
    return Judgement(
        cells=tuple(cells),
        kind=kind,
        metrics=_measure(asked, answers, reference, limits, kind, dtype),
        guards=(_check_activations(names, cells),),
        reference=raw,
        limits=limits,
    )


def _check_activations(names: Sequence[str], cells: Sequence[Cell]) -> Guard:
    """Whether a subject that gives activations gives all of them."""
    given = {c.activation for c in cells}
    missing = [name for name in names if name not in given]
    if given == {LOGITS}:
        return Guard("activations", "not asked", "the subject gives none, so only logits are seen")
    if missing:
        text = f"{len(missing)} of {len(names)} are not given, such as {missing[0]!r}"
        return Guard("activations", "note", text)
    return Guard("activations", "ok", f"{len(names)} places")


def with_shift_taken_out(
    origin: Origin, prompts: Prompts, answers: Answers, found: Judgement, dtype: str
) -> tuple[Judgement, Answers, Guard]:
    """Whether logits that differ are the same but for a constant in each row."""
    name = "a constant in each row"
    if found.kind != "logits" or all(c.share <= 1 for c in found.cells if c.activation == LOGITS):
        return found, answers, Guard(name, "ok", "none")
    if not _is_shifted(answers, found, prompts):
        return found, answers, Guard(name, "ok", "none that explains the difference")
    centred = {
        q: [replace(row, values=_log_softmax_of(row), kind="log_probs") for row in rows]
        for q, rows in answers.items()
    }
    again = judge(origin, prompts, centred, "log_probs", dtype)
    if any(c.share > 1 for c in again.cells if c.activation == LOGITS):
        return found, answers, Guard(name, "ok", "none that explains the difference")
    text = "logits are shifted by a constant in each row; compared are log-probabilities"
    return again, centred, Guard(name, "note", text)


def _is_shifted(answers: Answers, found: Judgement, prompts: Prompts) -> bool:
    """Whether what differs is for the most part the same for all columns of a position."""
    asked = [q for q in prompts.questions if q.name in answers]
    whole, left = 0.0, 0.0
    for _, row, answer in _each(asked, answers):
        want = found.reference[row.name][0, answer.first :]
        if want.shape[-1] == 1:
            return False
        gap = answer.values[answer.first :] - want
        whole = max(whole, float(np.abs(gap).max()))
        left = max(left, float(np.abs(gap - gap.mean(-1, keepdims=True)).max()))
    return left < _SHIFTED * whole


def _log_softmax_of(row: RowAnswer) -> NDArray[np.float64]:
    made = np.full(row.values.shape, np.nan)
    made[row.first :] = log_softmax(row.values[row.first :])
    return made


def _each(asked: Sequence[Question], answers: Answers) -> Iterator[tuple[Question, Row, RowAnswer]]:
    for question in asked:
        for row, answer in zip(question.rows, answers[question.name], strict=True):
            yield question, row, answer


def _deviation(place: Place, at: int, answer: RowAnswer, dtype: str) -> Deviation | None:
    """How far one row is off at one place; None if the subject does not give it."""
    name, want = place.name, place.reference[at]
    if name == LOGITS:
        want = want[:, answer.first :]
        got = answer.values[None, answer.first :]
        got = answer.nearest(want) if got.shape == want.shape else got
    elif name in answer.activations:
        got = answer.activations[name][None]
    else:
        return None
    if got.shape != want.shape:
        raise SubjectError(f"{name}: expected the shape {want.shape}, got {got.shape}")
    both_lost = np.isneginf(got) & np.isneginf(want)
    got = np.where(both_lost, 0.0, got.astype(np.float64))
    want = np.where(both_lost, 0.0, want)
    return deviation(place.limits[at], got, want, dtype)


def _cell(found: Deviation, question: Question, row: Row) -> Cell:
    honest = found.honest if np.isfinite(found.honest) else 0.0
    return Cell(found.activation, question.name, row.name, found.error, honest, found.share)


def _measure(
    asked: Sequence[Question],
    answers: Answers,
    reference: Mapping[str, NDArray[np.float64]],
    limits: Mapping[str, Limit],
    kind: Kind,
    dtype: str,
) -> Metrics:
    def rows() -> Iterator[Measured]:
        for question, row, answer in _each(asked, answers):
            limit, first = limits[row.name], answer.first
            budget = (
                float32_ulps(dtype_of(dtype)) * FACTOR * float((limit.honest + limit.floor).max())
            )
            want, got = reference[row.name][0, first:], answer.values[first:].astype(np.float64)
            per_token = len(want) == len(row.ids) - first
            following = np.asarray(row.ids[first + 1 :] if per_token else (), np.int64)
            whole = kind not in PER_TOKEN and want.shape[-1] > 1
            names = (question.name, row.name, first)
            yield Measured(*names, want, got, budget, following, whole)

    return measure(rows())
