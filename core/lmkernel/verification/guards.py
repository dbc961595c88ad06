"""Guards against a wrong comparison: each is reported, and none corrects anything in silence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, final

import numpy as np

from lmkernel.comparison.metrics import log_softmax
from lmkernel.errors import SubjectError
from lmkernel.verification.answers import PER_TOKEN
from lmkernel.verification.rounding import SHORT, round_to
from lmkernel.verification.sentences import HEADLESS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.tokenizers.tokenizer import Tokenizer
    from lmkernel.verification.answers import RowAnswer
    from lmkernel.verification.opening import OpenSubject
    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Kind

    Answers = Mapping[str, Sequence[RowAnswer]]

__all__ = ["Guard", "check_repeat", "check_token_ids", "check_values", "digits_of"]

_NORMALISED, _EXACT = 0.05, 2e-5
"""How far the logarithm of a sum of probabilities may be from 0: at all, and in float32."""

_REPEATED = 0.01
"""The largest difference between two answers, as a share of the largest value, by rounding."""


@final
@dataclass(frozen=True)
class Guard:
    """What was looked at, and what was found.

    Args:
        name: what was looked at.
        state: ``"ok"``; ``"note"`` where the comparison goes on in another way, as the text says;
            ``"problem"`` where the subject is wrong there; ``"not asked"``.
        text: what was found.
    """

    name: str
    state: Literal["ok", "note", "problem", "not asked"]
    text: str


def check_token_ids(
    subject: OpenSubject, tokenizer: Tokenizer | None, texts: Sequence[str]
) -> Guard:
    """Whether both tokenizers make the same ids of the same texts; it is asked first."""
    name = "token ids"
    if tokenizer is None or not texts:
        return Guard(name, "not asked", "no text is asked about, so there are no ids to compare")
    for text in texts:
        got = subject.token_ids(text)
        if got is None:
            return Guard(name, "not asked", "the subject takes ids, and makes none of texts")
        want = tokenizer.encode(text)
        if list(got) != want:
            at = next((i for i, (a, b) in enumerate(zip(want, got, strict=False)) if a != b), None)
            at = min(len(want), len(got)) if at is None else at
            ours, theirs = want[at : at + 3], list(got[at : at + 3])
            where = f"{text[:40]!r}: from token {at + 1} on: {ours} here, {theirs} there"
            return Guard(name, "problem", f"the tokenizers differ: {where}")
    return Guard(name, "ok", f"{len(texts)} texts have the same ids")


def check_values(answers: Answers, vocab: int, dtype: str) -> tuple[Answers, Kind, list[Guard]]:
    """Answers as they are compared, what they are, and what was found.

    Args:
        answers: by the name of the question.
        vocab: how many channels the model's head has; 0 for a model without one.
        dtype: of the subject's computation, as it was said.
    """
    kinds = {row.kind for rows in answers.values() for row in rows}
    if len(kinds) != 1:
        raise SubjectError(f"expected answers of one kind, got {', '.join(sorted(kinds))}")
    [kind] = kinds
    if kind in PER_TOKEN or kind in HEADLESS:
        return answers, kind, [*_check_head(kind, vocab), _check_dtype(answers, dtype)]
    answers, padding = _cut(answers, vocab)
    kind, said = _check_kind(answers, kind)
    return answers, kind, [padding, said, _check_dtype(answers, dtype)]


def _check_head(kind: Kind, size: int) -> list[Guard]:
    """Whether there is a head of which nothing is given; a sentence's vector is made without it."""
    if kind != "hidden" or not size:
        return []
    text = "hidden vectors are given, so what the head makes of them is not compared"
    return [Guard("head", "note", text)]


def _log_of_sum(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """The logarithm of the sum of exponentials of each row."""
    wide = values.astype(np.float64)
    made: NDArray[np.float64] = (wide - log_softmax(wide)).max(-1)
    return made


def _cut(answers: Answers, vocab: int) -> tuple[Answers, Guard]:
    """Without the columns beyond the vocabulary."""
    name = "vocabulary"
    width = max(row.values.shape[-1] for rows in answers.values() for row in rows)
    if width == vocab:
        return answers, Guard(name, "ok", f"{vocab} columns")
    made = {
        q: [replace(row, values=row.values[..., :vocab]) for row in rows]
        for q, rows in answers.items()
    }
    extra = f"{width - vocab} columns beyond the vocabulary of {vocab} are left out"
    return made, Guard(name, "note", extra)


def _check_kind(answers: Answers, kind: Kind) -> tuple[Kind, Guard]:
    """Whether logits are logits, and log-probabilities sum to one."""
    name = "logits or log-probabilities"
    rows = [row.values[row.first :] for rows in answers.values() for row in rows]
    if rows[0].shape[-1] == 1:
        return kind, Guard(name, "ok", kind)
    worst = max(float(np.abs(_log_of_sum(x)).max()) for x in rows)
    if kind == "logits" and worst < _NORMALISED:
        text = "what was given as logits are log-probabilities, and compared as these"
        return "log_probs", Guard(name, "note", text)
    if kind == "log_probs" and worst >= _NORMALISED:
        text = "what was given as log-probabilities does not sum to one, and is compared as logits"
        return "logits", Guard(name, "note", text)
    exact = all(isinstance(row.step, float) for rows in answers.values() for row in rows)
    if kind == "log_probs" and worst >= _EXACT and exact:
        text = f"probabilities sum to 1 ± {worst:.1e}: a softmax in 16 bits"
        return kind, Guard(name, "problem", text)
    return kind, Guard(name, "ok", kind)


def digits_of(answers: Answers, dtype: str) -> str | None:
    """The dtype of 16 bits whose numbers all values are, though they are said to be float32."""
    if dtype != "float32":
        return None
    values = [row.values[row.first :] for rows in answers.values() for row in rows]
    flat = np.concatenate([x.ravel() for x in values]).astype(np.float32)
    return next((kind for kind in SHORT if np.array_equal(round_to(flat, kind), flat)), None)


def _check_dtype(answers: Answers, dtype: str) -> Guard:
    """Whether what is said to be float32 has only the digits of 16 bits."""
    name = "digits"
    if dtype != "float32":
        return Guard(name, "ok", f"said to be {dtype}")
    if (kind := digits_of(answers, dtype)) is not None:
        text = (
            f"every value is a {kind} number, though float32 was asked for; if {kind} is "
            f"meant, say --dtype {kind}"
        )
        return Guard(name, "problem", text)
    return Guard(name, "ok", "more than 16 bits")


def check_repeat(subject: OpenSubject, asked: Sequence[Question], answers: Answers) -> Guard:
    """Whether the same question has the same answer twice."""
    name = "run to run"
    if not asked or subject.own_rows():
        return Guard(name, "not asked", "the subject answered before it came here")
    question = min(asked, key=lambda q: (q.time, q.prefill))
    again = subject.ask(question, activations=False)
    pairs = list(zip(answers[question.name], again, strict=True))
    gap = max(float(np.abs(a.values - b.values)[a.first :].max()) for a, b in pairs)
    size = max(float(np.abs(a.values[a.first :]).max()) for a, _ in pairs)
    if gap == 0:
        return Guard(name, "ok", "the same bits")
    text = f"{question.name!r} has two answers, up to {gap:.2e} apart"
    if gap > _REPEATED * size:
        return Guard(name, "problem", f"{text}: is dropout on, or is it sampled?")
    return Guard(name, "note", f"{text}: another order of summation")
