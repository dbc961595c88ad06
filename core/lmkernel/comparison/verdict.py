"""Judges answers against those of the float64 reference.

A logit may be off by four times the largest error of the default backend in float32, plus four
units in the last place of the largest logit. Two answers may part only where the reference holds
the two candidates for a tie: their logits there differ by less than both may be off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from lmkernel.comparison.metrics import Measured, measure
from lmkernel.numerics import FACTOR, float32_ulps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.comparison.greedy import Answer
    from lmkernel.comparison.metrics import Metrics

__all__ = ["BackendVerdict", "Parting", "budget", "judge_answers", "largest_error"]


@final
@dataclass(frozen=True)
class Parting:
    """The first token at which an answer differs from the reference's.

    Args:
        prompt: number of the prompt, from 0.
        step: number of the token, from 0.
        expected: the reference's token.
        got: the backend's token.
        gap: the distance of the reference's logits of the two.
        tie: whether that is less than both may be off.
    """

    prompt: int
    step: int
    expected: int
    got: int
    gap: float
    tie: bool


@final
@dataclass(frozen=True)
class BackendVerdict:
    """One backend's answers beside the reference's.

    Args:
        backend: its name.
        prompts: the number of prompts.
        partings: the partings, at most one for each prompt.
        error: the largest difference of a logit while the tokens were the same.
        budget: the largest error allowed.
        tokens_per_second: the speed of decoding, over all prompts.
        metrics: the numbers that people know, over the steps at which the tokens were the same.
    """

    backend: str
    prompts: int
    partings: tuple[Parting, ...]
    error: float
    budget: float
    tokens_per_second: float
    metrics: Metrics | None = None

    @property
    def passed(self) -> bool:
        """Logits within the budget, and the same tokens but for a tie in one prompt at most."""
        ties = all(parting.tie for parting in self.partings)
        return self.error <= self.budget and ties and len(self.partings) <= 1


def _steps_in_common(a: Answer, b: Answer) -> int:
    """The number of steps at which two answers have the same past."""
    pairs = zip(a.tokens, b.tokens, strict=False)
    same = next((i for i, (x, y) in enumerate(pairs) if x != y), None)
    return min(len(a.tokens), len(b.tokens)) if same is None else same + 1


def largest_error(answers: Sequence[Answer], reference: Sequence[Answer]) -> float:
    """The largest difference of a logit from the reference's, while the past is the same."""
    errors = [0.0]
    for got, expected in zip(answers, reference, strict=True):
        steps = _steps_in_common(got, expected)
        gaps = np.abs(got.logits[:steps].astype(np.float64) - expected.logits[:steps])
        errors.append(float(gaps.max()))
    return max(errors) if np.isfinite(errors).all() else float("inf")


def budget(honest: float, reference: Sequence[Answer], dtype: str) -> float:
    """How far a logit may be off, from the error of an honest run in float32.

    A 16-bit format has fewer bits, and its budget is wider by as many.
    """
    largest = max(float(np.abs(answer.logits).max()) for answer in reference)
    return float32_ulps(dtype) * FACTOR * (honest + float(np.spacing(np.float32(largest))))


def judge_answers(
    backend: str, answers: Sequence[Answer], reference: Sequence[Answer], allowed: float
) -> BackendVerdict:
    """The verdict on one backend's answers to the prompts."""
    partings, rows = [], []
    for number, (got, expected) in enumerate(zip(answers, reference, strict=True)):
        steps = _steps_in_common(got, expected)
        step = steps - 1
        rows.append(
            Measured(
                question="",
                row=f"prompt {number + 1}",
                first=0,
                reference=expected.logits[:steps].astype(np.float64),
                subject=got.logits[:steps].astype(np.float64),
                budget=allowed,
                following=np.array(expected.tokens[:steps]),
                whole=True,
            )
        )
        if got.tokens[step] != expected.tokens[step]:
            ours, theirs = expected.tokens[step], got.tokens[step]
            gap = float(abs(expected.logits[step][ours] - expected.logits[step][theirs]))
            partings.append(Parting(number, step, ours, theirs, gap, gap <= 2 * allowed))
    decoded = sum(len(answer.tokens) - 1 for answer in answers)
    seconds = sum(answer.seconds for answer in answers)
    return BackendVerdict(
        backend=backend,
        prompts=len(answers),
        partings=tuple(partings),
        error=largest_error(answers, reference),
        budget=allowed,
        tokens_per_second=decoded / seconds if seconds else 0.0,
        metrics=measure(rows),
    )
