"""The numbers that people know, beside the budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["Metrics", "log_softmax", "measure"]


@final
@dataclass(frozen=True, kw_only=True)
class Metrics:
    """How far a subject, or a backend, is from float64, over all positions that were asked about.

    What needs the whole vocabulary is None where only the next tokens' log-probabilities are given,
    and so is what needs a next token where there is none.

    Args:
        positions: how many there are.
        largest: the largest difference of a logit, or of what was given in place of logits.
        mean: the mean one.
        kl_forward: KL(reference‖subject), the mean over positions, in nats.
        kl_backward: KL(subject‖reference).
        log_prob: the mean absolute difference of the next token's log-probability; of the
            likeliest one's, where that is all that is said.
        ratio: the mean of exp of that difference: between a trainer and an engine, how far an
            importance weight is from 1.
        agreement: the share of positions at which the likeliest token is the same.
        near_ties: the share of positions at which the reference's two likeliest tokens are closer
            than both may be off, so that rounding alone may change the choice.
        first_difference: the first choice that is another.
    """

    positions: int
    largest: float
    mean: float
    kl_forward: float | None = None
    kl_backward: float | None = None
    log_prob: float | None = None
    ratio: float | None = None
    agreement: float | None = None
    near_ties: float | None = None
    first_difference: Choice | None = None


@final
@dataclass(frozen=True)
class Choice:
    """The first position of all at which the likeliest token is another.

    Args:
        question: the question's name.
        row: the row's name.
        position: the number of the token in its row after which it stands, from 1.
        expected: the reference's choice.
        got: the subject's.
        gap: the distance of the reference's values of the two.
        tie: whether that is less than both may be off.
    """

    question: str
    row: str
    position: int
    expected: int
    got: int
    gap: float
    tie: bool


@final
@dataclass(frozen=True)
class Measured:
    """One row's values in float64, ``(positions, channels)``.

    Args:
        question: the question's name.
        row: the row's name.
        first: the number of positions before these.
        reference: the reference's.
        subject: the subject's.
        budget: how far a value may be off.
        following: the token after each position, for those that have one; empty if that is unknown.
        whole: whether the channels are the vocabulary.
    """

    question: str
    row: str
    first: int
    reference: NDArray[np.float64]
    subject: NDArray[np.float64]
    budget: float
    following: NDArray[np.int64]
    whole: bool


def log_softmax(x: NDArray[Any]) -> NDArray[np.float64]:
    """The logarithm of the softmax over the last axis, in float64."""
    wide = x.astype(np.float64)
    shifted = wide - wide.max(-1, keepdims=True)
    made: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return made


def measure(rows: Iterable[Measured]) -> Metrics:
    """All of it over several rows."""
    listed = [row for row in rows if row.reference.size]
    gaps = np.concatenate(
        [np.zeros(1), *(np.abs(r.subject - r.reference).ravel() for r in listed)]
    )[bool(listed) :]
    gaps = gaps[np.isfinite(gaps)] if np.isfinite(gaps).any() else gaps
    count = sum(len(row.reference) for row in listed)
    known: dict[str, Any] = {}
    whole = [row for row in listed if row.whole]
    if whole:
        known |= _over_vocabulary(whole)
        known["first_difference"] = next(filter(None, map(_first_difference, whole)), None)
    following = np.concatenate([_following(row) for row in listed] or [np.zeros(0)])
    following = following[np.isfinite(following)]
    if following.size:
        known["log_prob"] = float(np.abs(following).mean())
        known["ratio"] = float(np.exp(np.minimum(np.abs(following), 700)).mean())
    return Metrics(positions=count, largest=float(gaps.max()), mean=float(gaps.mean()), **known)


def _over_vocabulary(rows: list[Measured]) -> dict[str, float]:
    forward, backward, agree, tied = [], [], [], []
    for row in rows:
        p, q = log_softmax(row.reference), log_softmax(row.subject)
        with np.errstate(invalid="ignore"):
            forward.append(np.nansum(np.exp(p) * (p - q), -1))
            backward.append(np.nansum(np.exp(q) * (q - p), -1))
        agree.append(row.reference.argmax(-1) == row.subject.argmax(-1))
        best = np.partition(row.reference, -2, -1)[:, -2:] if row.reference.shape[-1] > 1 else None
        gap = np.full(len(row.reference), np.inf) if best is None else best[:, 1] - best[:, 0]
        tied.append(gap < 2 * row.budget)
    # a divergence is not negative but for rounding
    return {
        "kl_forward": max(0.0, float(np.concatenate(forward).mean())),
        "kl_backward": max(0.0, float(np.concatenate(backward).mean())),
        "agreement": float(np.concatenate(agree).mean()),
        "near_ties": float(np.concatenate(tied).mean()),
    }


def _first_difference(row: Measured) -> Choice | None:
    ours, theirs = row.reference.argmax(-1), row.subject.argmax(-1)
    if (ours == theirs).all():
        return None
    at = int(np.argmax(ours != theirs))
    expected, got = int(ours[at]), int(theirs[at])
    gap = float(row.reference[at, expected] - row.reference[at, got])
    tie = gap <= 2 * row.budget
    return Choice(row.question, row.row, row.first + at + 1, expected, got, gap, tie)


def _following(row: Measured) -> NDArray[np.float64]:
    """The difference of each next token's log-probability, subject minus reference."""
    if not row.whole:
        return (row.subject - row.reference)[:, 0] if row.reference.shape[-1] == 1 else np.zeros(0)
    n = len(row.following)
    if not n:
        return np.zeros(0)
    at = np.arange(n), row.following
    made: NDArray[np.float64] = log_softmax(row.subject)[at] - log_softmax(row.reference)[at]
    return made
