"""Logits that are the reference's but for a constant in each row."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lmkernel.comparison.metrics import log_softmax
from lmkernel.verification.cells import each_answer
from lmkernel.verification.guards import Guard
from lmkernel.verification.judging import judge
from lmkernel.verification.running import LOGITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.verification.answers import RowAnswer
    from lmkernel.verification.guards import Answers
    from lmkernel.verification.judging import Judgement
    from lmkernel.verification.part import Part
    from lmkernel.verification.prompts import Prompts

__all__ = ["with_shift_taken_out"]

_SHIFTED = 0.1
"""The largest share of a difference that may be left without a constant that explains it."""


def with_shift_taken_out(
    part: Part, prompts: Prompts, answers: Answers, found: Judgement, dtype: str
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
    again = judge(part, prompts, centred, "log_probs", dtype)
    if any(c.share > 1 for c in again.cells if c.activation == LOGITS):
        return found, answers, Guard(name, "ok", "none that explains the difference")
    text = "logits are shifted by a constant in each row; compared are log-probabilities"
    return again, centred, Guard(name, "note", text)


def _is_shifted(answers: Answers, found: Judgement, prompts: Prompts) -> bool:
    """Whether what differs is for the most part the same for all columns of a position."""
    asked = [q for q in prompts.questions if q.name in answers]
    whole, left = 0.0, 0.0
    for _, row, answer in each_answer(asked, answers):
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
