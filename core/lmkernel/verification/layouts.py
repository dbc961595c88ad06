"""What is right in one layout and wrong in another: masks, positions, caches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.verification.cells import as_input, view_of
from lmkernel.verification.defects import operations as wrong
from lmkernel.verification.diagnosing import Diagnosis, shares_of
from lmkernel.verification.guards import Guard
from lmkernel.verification.one_run import Variant
from lmkernel.verification.running import ENDS, variant_logits
from lmkernel.verification.sentences import variant_for
from lmkernel.verification.structure import top_transformer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.verification.cells import Cell
    from lmkernel.verification.guards import Answers
    from lmkernel.verification.judging import Judgement
    from lmkernel.verification.part import Part
    from lmkernel.verification.prompts import Prompts
    from lmkernel.verification.sequences import Question

    _Move = Callable[[Question], NDArray[np.int32] | None]

__all__ = ["check_layouts", "diagnose_layouts", "is_right"]


def is_right(cells: Sequence[Cell], question: str, row: str = "") -> bool:
    """Whether the logits of a question, or of one row in it, are within their budget."""
    own = [
        c for c in cells if c.activation in ENDS and c.question == question and row in ("", c.row)
    ]
    return all(c.share <= 1 for c in own)


def check_layouts(prompts: Prompts, answers: Answers, cells: Sequence[Cell]) -> list[Guard]:
    """The mask, the positions and the cache: what is right alone and wrong in a layout."""
    asked = [q for q in prompts.questions if q.name in answers]
    return [
        _check("mask", "rows padded", [q for q in asked if len(q.rows) > 1], cells),
        _check_positions([q for q in asked if q.rows[0].start], cells),
        _check("cache", "tokens fed one by one", [q for q in asked if q.prefill], cells),
    ]


def _check(name: str, what: str, questions: Sequence[Question], cells: Sequence[Cell]) -> Guard:
    if not questions:
        return Guard(name, "not asked", f"the subject does not take {what}")
    for question in questions:
        for row in question.rows:
            if is_right(cells, row.name) and not is_right(cells, question.name, row.name):
                text = f"{row.name!r} is right alone, and wrong {_where(question)}"
                return Guard(name, "problem", text)
    return Guard(name, "ok", f"{', '.join(q.name for q in questions)}: no other than alone")


def _where(question: Question) -> str:
    if question.prefill:
        return f"when its tokens from number {question.prefill + 1} on are fed one by one"
    return f"when it is {question.name} in a batch: is the mask passed on, and is padding counted?"


def _check_positions(questions: Sequence[Question], cells: Sequence[Cell]) -> Guard:
    name = "positions"
    if not questions:
        return Guard(name, "not asked", "the subject does not take positions")
    [question] = questions[:1]
    others = [c.share for c in cells if c.activation in ENDS and c.question != question.name]
    if not is_right(cells, question.name) and all(share <= 1 for share in others):
        start = question.rows[0].start
        text = f"all is right but the row at positions {start} …: are positions passed on?"
        return Guard(name, "problem", text)
    return Guard(name, "ok", "no other than from position 0 on")


def diagnose_layouts(
    part: Part, prompts: Prompts, answers: Answers, found: Judgement, dtype: str
) -> Iterator[Diagnosis]:
    """What explains the questions that are wrong, where each row by itself is right."""
    wrong = [
        q for q in prompts.questions if q.name in answers and not is_right(found.cells, q.name)
    ]
    tried: list[tuple[Variant, list[list[Any]]]] = []
    for ident, words, move, variant in _moves(part.config):
        moved = [move(q) for q in wrong]
        if not wrong or any(m is None for m in moved):
            continue
        same = (variant, [m.tolist() for m in moved if m is not None])
        if same in tried:
            continue
        tried.append(same)
        inputs = [
            replace(as_input(q), positions=m)
            for q, m in zip(wrong, moved, strict=True)
            if m is not None
        ]
        shares = []
        for question, given in zip(wrong, inputs, strict=True):
            [logits] = variant_logits(part, [given], variant_for(part, found.kind, variant))
            view = view_of(part, found.kind, question.rows)
            pooled = logits.ndim < 3  # noqa: PLR2004 - (batch, time, size)
            every = slice(None)
            seen = {
                row.name: view(
                    i, logits[i : i + 1, every if pooled else question.answered_columns(i)]
                )
                for i, row in enumerate(question.rows)
            }
            shares += shares_of([question], answers, seen, found, dtype)
        before = max(c.share for c in found.cells if c.activation in ENDS)
        if max(shares) <= 1:
            yield Diagnosis(ident, words, before, max(shares))


def _show_padding(question: Question) -> NDArray[np.int32] | None:
    """No mask at all: padding is a token like any other."""
    if len(question.rows) < 2:  # noqa: PLR2004 - one row has no padding
        return None
    return np.tile(np.arange(question.time, dtype=np.int32), (len(question.rows), 1))


def _count_padding(question: Question) -> NDArray[np.int32] | None:
    """Padding is hidden, and counted."""
    if len(question.rows) < 2:  # noqa: PLR2004 - one row has no padding
        return None
    counted = np.arange(question.time, dtype=np.int32)
    return np.where(question.positions < 0, np.int32(-1), counted).astype(np.int32)


def _restart(question: Question) -> NDArray[np.int32] | None:
    """Positions begin at 0."""
    if not any(row.start for row in question.rows) or len(question.rows) > 1:
        return None
    return np.arange(question.time, dtype=np.int32)[None]


def _columns(question: Question) -> NDArray[np.int32] | None:
    """Every position is its column's number, though padding is hidden."""
    counted = _count_padding(question)
    return _restart(question) if counted is None else counted


def _stay_at_start(question: Question) -> NDArray[np.int32] | None:
    """Tokens fed one by one all stand at position 0."""
    return _fed(question, lambda own: own * 0)


def _begin_again(question: Question) -> NDArray[np.int32] | None:
    """Tokens fed one by one are counted from 0."""
    return _fed(question, lambda own: own - own[:, :1])


def _fed(
    question: Question, move: Callable[[NDArray[np.int32]], NDArray[np.int32]]
) -> NDArray[np.int32] | None:
    if not question.prefill:
        return None
    made = question.positions.copy()
    made[:, question.prefill :] = move(made[:, question.prefill :])
    return made


def _skip_one(question: Question) -> NDArray[np.int32] | None:
    """Tokens fed one by one stand one position too far."""
    return _fed(question, lambda own: own + 1)


def _as_given(question: Question) -> NDArray[np.int32] | None:
    return question.positions if len(question.rows) > 1 else None


def _moves(config: ModelConfig) -> list[tuple[str, str, _Move, Variant]]:
    """Each defect, what positions stand for it, and the model that they are given to."""
    _, stack = top_transformer(config)
    unmasked = wrong.see_earlier_slots if stack.causal else wrong.see_all_slots
    seen = Variant(operations={"attention": unmasked})
    words = "the mask were not passed on: padding is seen"
    counted, fed = "padding were counted in the positions", "tokens fed one by one"
    return [
        ("mask.ignored", words, _as_given, seen),
        ("mask.ignored", f"{words}, and counted", _show_padding, Variant()),
        ("positions.padding", counted, _count_padding, Variant()),
        ("positions.restart", "positions were not passed on and began at 0", _restart, Variant()),
        ("positions.ignored", "each position were the number of its column", _columns, Variant()),
        ("cache.positions", f"{fed} stood one position too far", _skip_one, seen),
        ("cache.positions", f"{fed} stood at position 0", _stay_at_start, seen),
        ("cache.positions", f"{fed} were counted from 0", _begin_again, seen),
    ]
