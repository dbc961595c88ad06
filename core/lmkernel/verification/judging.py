"""Answers beside the reference: how far off each activation is, and where the first is too far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.comparison.metrics import Measured, Metrics, measure
from lmkernel.verification.answers import PER_TOKEN
from lmkernel.verification.arithmetic import dtype_of
from lmkernel.verification.cells import as_input, cell_of, each_answer, end_of, view_of
from lmkernel.verification.guards import Guard
from lmkernel.verification.running import ENDS, reference_places
from lmkernel.verification.sentences import HEADLESS, variant_for
from lmkernel.verification.ties import Choices, judge_beside_ties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.comparison.layers import Limit
    from lmkernel.verification.cells import Cell
    from lmkernel.verification.guards import Answers
    from lmkernel.verification.one_run import Variant
    from lmkernel.verification.part import Part
    from lmkernel.verification.prompts import Prompts
    from lmkernel.verification.running import Place
    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Kind

__all__ = ["Judgement", "judge"]


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


def judge(
    part: Part,
    prompts: Prompts,
    answers: Answers,
    kind: Kind,
    dtype: str,
    *,
    variant: Variant | None = None,
) -> Judgement:
    """The answers beside the reference, or beside a changed model.

    Args:
        part: what is verified of the checkpoint.
        prompts: what was asked.
        answers: those of the questions that were asked, by name.
        kind: what they are.
        dtype: of the subject's computation.
        variant: another model in place of the checkpoint's own.
    """
    variant = variant_for(part, kind, variant)
    asked = [q for q in prompts.questions if q.name in answers]
    needed = {row.name for q in asked for row in q.rows}
    rows = [row for row in prompts.rows if row.name in needed]
    number = {row.name: i for i, row in enumerate(rows)}
    raw: dict[str, NDArray[np.float64]] = {}
    own_view = view_of(part, kind, rows)

    def view(i: int, logits: NDArray[Any]) -> NDArray[np.float64]:
        raw.setdefault(rows[i].name, logits)  # the reference's come first
        return own_view(i, logits)

    cells: list[Cell] = []
    names: list[str] = []
    last: Place | None = None
    inputs = [as_input(r) for r in rows]
    choices = Choices(variant.config or part.config, kind, dtype)
    for place in reference_places(part, inputs, view, variant, arithmetic=dtype, end=end_of(kind)):
        last = place
        names.append(place.name)
        choices.see(place)
        for question, row, answer in each_answer(asked, answers):
            cell = cell_of(place, number[row.name], question, row, answer, dtype)
            cells += [] if cell is None else [cell]
    if last is None:
        raise AssertionError("expected a run, which has at least the logits")
    limits = {row.name: last.limits[i] for i, row in enumerate(rows)}
    reference = {row.name: last.reference[i] for i, row in enumerate(rows)}
    guards = [_check_activations(names, cells)]
    if choices.count[0] and any(not c.share <= 1 for c in cells):
        beside = (choices, last, number, kind, dtype, variant)
        cells, said = judge_beside_ties(part, asked, answers, *beside)
        guards.append(said)
    return Judgement(
        cells=tuple(cells),
        kind=kind,
        metrics=_measure(asked, answers, reference, limits, kind, dtype),
        guards=tuple(guards),
        reference=raw,
        limits=limits,
    )


def _check_activations(names: Sequence[str], cells: Sequence[Cell]) -> Guard:
    """Whether a subject that gives activations gives all of them."""
    given = {c.activation for c in cells}
    missing = [name for name in names if name not in given]
    if given <= ENDS:
        return Guard("activations", "not asked", "the subject gives none, so only its end is seen")
    if missing:
        text = f"{len(missing)} of {len(names)} are not given, such as {missing[0]!r}"
        return Guard("activations", "note", text)
    return Guard("activations", "ok", f"{len(names)} places")


def _measure(
    asked: Sequence[Question],
    answers: Answers,
    reference: Mapping[str, NDArray[np.float64]],
    limits: Mapping[str, Limit],
    kind: Kind,
    dtype: str,
) -> Metrics:
    def rows() -> Iterator[Measured]:
        for question, row, answer in each_answer(asked, answers):
            limit, first = limits[row.name], answer.first
            budget = float(limit.allowed(dtype_of(dtype)).max())
            want, got = reference[row.name][0, first:], answer.values[first:].astype(np.float64)
            per_token = len(want) == len(row.answered) - first
            following = np.asarray(row.answered[first + 1 :] if per_token else (), np.int64)
            whole = kind not in (*PER_TOKEN, *HEADLESS) and want.shape[-1] > 1
            names = (question.name, row.name, first)
            yield Measured(*names, want, got, budget, following, whole)

    return measure(rows())
