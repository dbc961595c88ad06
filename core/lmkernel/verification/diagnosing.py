"""What a difference looks like: the defect that explains it down to the budget, or none.

Each candidate is run in float64 on the same questions, and the subject is compared with it in place
of the reference. The nearest that leaves no more than the budget is named. A candidate that comes
close is given a budget of its own, from its own honest runs, since a defect changes those as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from lmkernel.errors import LmkernelError
from lmkernel.verification.budgets import deviation
from lmkernel.verification.cells import as_input, view_of
from lmkernel.verification.judging import judge
from lmkernel.verification.running import ENDS, variant_logits
from lmkernel.verification.sentences import variant_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.progress import Progress
    from lmkernel.verification.cells import Cell
    from lmkernel.verification.defects import Candidate
    from lmkernel.verification.guards import Answers
    from lmkernel.verification.judging import Judgement
    from lmkernel.verification.part import Part
    from lmkernel.verification.prompts import Prompts
    from lmkernel.verification.sequences import Question

__all__ = ["Diagnosis", "diagnose", "diagnose_digits", "shares_of"]

_CLOSE, _NEAR = 50.0, 0.2
"""A candidate is judged with its own budget if so many of the reference's are left, or if so small
a share of the difference is."""
_ROWS = 3
"""A candidate is first run on so many rows, those that are furthest off."""
_MOST = 4
"""So many are judged with a budget of their own."""


@final
@dataclass(frozen=True)
class Diagnosis:
    """A defect that explains the difference.

    Args:
        id: the candidate's name.
        words: what it is, after "as if".
        before: how many budgets the subject is off from the reference.
        after: how many it is off from the candidate: at most 1.
    """

    id: str
    words: str
    before: float
    after: float

    def sentence(self) -> str:
        """In words."""
        return f"as if {self.words}: {self.before:.3g} budgets become {self.after:.2g}"


def diagnose(
    part: Part,
    prompts: Prompts,
    answers: Answers,
    found: Judgement,
    dtype: str,
    tried: Sequence[Candidate],
    progress: Progress,
) -> tuple[Diagnosis, ...]:
    """Every defect that explains the difference, the nearest first.

    Several are named only where no question tells them apart.

    Args:
        part: what is verified of the checkpoint.
        prompts: what was asked.
        answers: what was said.
        found: how they compare with the reference.
        dtype: of the subject's computation.
        tried: the defects of the table.
        progress: shows how far it is.
    """
    shares = [c.share for c in found.cells if c.activation in ENDS]
    before, named = max(shares, default=0.0), []
    # a defect that is put in to be looked at may overflow: then the subject does not look like it
    with np.errstate(all="ignore"):
        with progress.bar("what it looks like", len(tried), "defect") as advance:
            close = _close(part, prompts, answers, found, dtype, tried, before, advance)
        with progress.bar("the nearest, over everything", len(close), "defect") as advance:
            for one in close:
                # with its own budget, over all questions and all activations that the subject gave
                again = judge(part, prompts, answers, found.kind, dtype, variant=one.variant)
                after, alone = (_worst(cells) for cells in (again.cells, _alone(again)))
                if after <= 1:
                    named.append(Diagnosis(one.id, one.words, before, after))
                elif alone <= 1:
                    besides = "and something is wrong besides where rows are padded or cached"
                    named.append(Diagnosis(one.id, f"{one.words} ({besides})", before, alone))
                advance(1)
    named.sort(key=lambda d: d.after)
    return tuple(named)


def _close(
    part: Part,
    prompts: Prompts,
    answers: Answers,
    found: Judgement,
    dtype: str,
    tried: Sequence[Candidate],
    before: float,
    advance: Callable[[int], None],
) -> list[Candidate]:
    """The candidates that explain the worst rows nearly, the nearest first."""
    asked = [q for q in prompts.questions if q.name in answers and len(q.rows) == 1]
    worst = {c.question: c.share for c in found.cells if c.activation in ENDS}
    asked = sorted((q for q in asked if not q.prefill), key=lambda q: -worst[q.name])[:_ROWS]
    close = []
    # what does not explain the shortest row that is wrong need not be tried on the others
    shortest = sorted([q for q in asked if not worst[q.name] <= 1] or asked, key=_time)[:1]
    for one in tried:
        left = _left(part, shortest, answers, found, dtype, one)
        if all(left < _near(worst[q.name]) for q in shortest):
            left = _left(part, asked, answers, found, dtype, one)
            if left < _near(before):
                close.append((left, one))
        advance(1)
    close.sort(key=lambda pair: pair[0])
    return [one for _, one in close[:_MOST]]


def _time(question: Question) -> int:
    return question.time


def _near(before: float) -> float:
    """How many budgets a candidate may leave, of so many, to be given a budget of its own."""
    return max(_NEAR * before, min(_CLOSE, before / 2))


def diagnose_digits(
    part: Part, prompts: Prompts, answers: Answers, found: Judgement, short: str
) -> Iterator[Diagnosis]:
    """Whether all is well if the subject computed in the dtype of 16 bits whose numbers it gives.

    Args:
        part: what is verified of the checkpoint.
        prompts: what was asked.
        answers: what was said, float32 having been asked for.
        found: how that compares with the reference.
        short: the dtype.
    """
    again = judge(part, prompts, answers, found.kind, short)
    before, after = (_worst(one.cells) for one in (found, again))
    inside = [c for c in found.cells if c.activation not in ENDS]
    if after <= 1 and inside and all(c.share <= 1 for c in inside):
        yield Diagnosis("dtype.logits", f"logits were rounded to {short}", before, after)
    elif after <= 1:
        yield Diagnosis("dtype.all", f"everything were computed in {short}", before, after)


def _worst(cells: Sequence[Cell]) -> float:
    """The largest share of a budget; no bound where nothing could be judged."""
    return max((c.share for c in cells), default=np.inf)


def _alone(found: Judgement) -> list[Cell]:
    """The rows by themselves, all at once: of their questions they have the name."""
    return [c for c in found.cells if c.question == c.row]


def _left(
    part: Part,
    asked: Sequence[Question],
    answers: Answers,
    found: Judgement,
    dtype: str,
    one: Candidate,
) -> float:
    """How many of the reference's budgets the subject is off from a candidate."""
    rows = {row.name: row for q in asked for row in q.rows}
    try:
        variant = variant_for(part, found.kind, one.variant)
        made = variant_logits(part, [as_input(row) for row in rows.values()], variant)
    except LmkernelError:  # a change that this model's parameters do not fit
        return float(np.inf)
    view = view_of(part, found.kind, list(rows.values()))
    seen = {name: view(i, x) for i, (name, x) in enumerate(zip(rows, made, strict=True))}
    return max(shares_of(asked, answers, seen, found, dtype), default=np.inf)


def shares_of(
    asked: Sequence[Question],
    answers: Answers,
    seen: Mapping[str, NDArray[np.float64]],
    found: Judgement,
    dtype: str,
) -> list[float]:
    """The share of the reference's budget of each row, beside other values than the reference's."""
    made = []
    for question in asked:
        for row, answer in zip(question.rows, answers[question.name], strict=True):
            want = seen[row.name]
            if want.shape != answer.values[None].shape:
                return [np.inf]
            want = want[:, answer.first :]
            got = answer.nearest(want)
            limit = found.limits[row.name]
            made.append(deviation(limit, got, want, dtype).share)
    return made
