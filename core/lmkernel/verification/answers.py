"""What a subject says, checked and taken apart into rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, final, get_args

import numpy as np

from lmkernel.errors import SubjectError, shown
from lmkernel.verification.pictures_shown import SHOWN
from lmkernel.verification.sentences import HEADLESS, pools
from lmkernel.verification.structure import top_transformer
from lmkernel.verification.subject import Answer, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.verification.sequences import Question

__all__ = [
    "KINDS",
    "PER_TOKEN",
    "RowAnswer",
    "as_array",
    "read_answer",
    "require_numbers",
    "take_apart",
    "whole_numbers",
]

KINDS: tuple[Kind, ...] = get_args(Kind)
PER_TOKEN = frozenset({"token_log_probs", "best_log_probs"})
"""What is one number for each position."""
_WHOLE = ("int", "uint")
_NUMBERS = (*_WHOLE, "float", "bfloat")
"""How the names of their dtypes begin."""
_BATCHED = 3
_HALF = 0.5 + 1e-3
"""Half a step, and what its own float32 rounds."""


@final
@dataclass(frozen=True)
class RowAnswer:
    """What a subject says to one row.

    Args:
        values: ``(time, channels)``, or ``(1, size)`` where the head pools.
        kind: what they are.
        activations: each ``(time, width)``.
        first: the first position that was answered: in decoding those before are not.
        step: the steps in which values were written, ``(time, 1)``; 0 where they are exact.
    """

    values: NDArray[Any]
    kind: Kind
    activations: Mapping[str, NDArray[Any]]
    first: int = 0
    step: NDArray[Any] | float = 0.0

    def nearest(self, want: NDArray[np.float64]) -> NDArray[np.float64]:
        """What it may have computed that is nearest to ``want (1, time, channels)``.

        Both are of the positions that were answered.
        """
        got = self.values[None, self.first :].astype(np.float64)
        if isinstance(self.step, float):
            return got
        half = self.step[None, self.first :] * _HALF
        within = np.clip(want, got - half, got + half)
        lowest = got <= got.min(-1, keepdims=True)
        return np.where(lowest, np.minimum(want, got + half), within)


def read_answer(named: Mapping[str, Any], where: str) -> Answer:
    """An answer of arrays by name: one of `KINDS`, and activations.

    Raises:
        SubjectError: none of them or several, or something that is no array of real numbers.
    """
    arrays = {name: _real_numbers(x, f"{where}: {name}") for name, x in named.items()}
    given: list[Kind] = [kind for kind in KINDS if kind in arrays]
    if len(given) != 1:
        got = ", ".join(sorted(arrays)) or "nothing"
        raise SubjectError(f"{where}: expected one of {', '.join(KINDS)}, got {got}")
    values = arrays.pop(given[0])
    return Answer(values, given[0], arrays)


def as_array(value: Any, where: str) -> NDArray[Any]:
    """What came as an array, of whatever dtype.

    Raises:
        SubjectError: it is none.
    """
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        told = f"{where}: expected an array of numbers, got {shown(value)}"
        raise SubjectError(f"{told}: {error}") from error


def require_numbers(dtype: str, expected: str) -> None:
    """Refuse a dtype, by its name, of anything but real numbers.

    Raises:
        SubjectError: what was expected, where, and the dtype.
    """
    if not dtype.startswith(_NUMBERS):
        raise SubjectError(f"{expected}, got {dtype}")


def whole_numbers(value: Any, where: str) -> list[int]:
    """A list of token ids.

    Raises:
        SubjectError: something else than a list of whole numbers.
    """
    made = as_array(value, where)
    if not made.size:
        return []
    require_numbers(made.dtype.name, f"{where}: expected whole numbers")
    if made.ndim != 1:
        raise SubjectError(f"{where}: expected a list of whole numbers, got the shape {made.shape}")
    if not made.dtype.name.startswith(_WHOLE):
        odd = made[~np.isfinite(made) | (made != np.floor(made))]
        if odd.size:
            raise SubjectError(f"{where}: expected whole numbers, got {odd[0]}")
    return [int(i) for i in made]


def _real_numbers(value: Any, where: str) -> NDArray[Any]:
    made = _absent_as_nan(as_array(value, where))
    require_numbers(made.dtype.name, f"{where}: expected real numbers")
    return made if made.dtype.kind == "f" else made.astype(np.float64)


def _absent_as_nan(made: NDArray[Any]) -> NDArray[Any]:
    """JSON has no NaN, so null may stand where there is no number, as after the last token."""
    if made.dtype != object or not all(x is None or _is_real(x) for x in made.flat):
        return made
    return made.astype(np.float64)


def _is_real(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def take_apart(question: Question, answer: Answer, config: ModelConfig) -> list[RowAnswer]:
    """The answer to each row of a question.

    Raises:
        SubjectError: another shape than the question's, no real numbers, or one that is not finite.
    """
    where, batch = f"question {question.name!r}", len(question.rows)
    answer = _of_numbers(answer, where)
    values = answer.values
    pooled, size = pools(config, answer.kind), _size(config, answer.kind, values)
    if answer.kind not in KINDS:
        raise SubjectError(f"{where}: expected one of {', '.join(KINDS)}, got {answer.kind!r}")
    if answer.kind not in HEADLESS and config.head is None:
        told = " or ".join(sorted(HEADLESS))
        raise SubjectError(f"{where}: expected {told}, as the model has no head, got {answer.kind}")
    if (
        values.ndim == _BATCHED - 1
        and batch == 1
        and not pooled
        and answer.kind in ("logits", "hidden")
    ):
        values = values[None]  # of one row the batch may be left out
    time = question.answered_time
    expected: tuple[int, ...] = (batch, size) if pooled else (batch, time, size)
    if answer.kind in PER_TOKEN:
        expected = (batch, time)
    fits = values.ndim == len(expected) and values.shape[: len(expected) - 1] == expected[:-1]
    # more columns than tokens are padding of the vocabulary, which a guard looks at
    wider = fits and values.shape[-1] > expected[-1] and answer.kind == "hidden"
    if not fits or wider or values.shape[-1] < expected[-1]:
        raise SubjectError(
            f"{where}: expected {answer.kind} of shape {expected}, got {values.shape}"
        )
    return [_row(question, number, values, answer, pooled=pooled) for number in range(batch)]


def _of_numbers(answer: Answer, where: str) -> Answer:
    """The answer of a subject that may have handed over anything."""
    step = answer.step
    return replace(
        answer,
        values=_real_numbers(answer.values, f"{where}: {answer.kind}"),
        activations={n: _real_numbers(x, f"{where}: {n}") for n, x in answer.activations.items()},
        step=None if step is None else _real_numbers(step, f"{where}: step"),
    )


def _size(config: ModelConfig, kind: Kind, values: NDArray[Any]) -> int:
    """How many channels there are; a sentence's vector is as long as what makes it says."""
    if kind == "hidden":
        return top_transformer(config)[1].width
    if kind == "vectors" or config.head is None:
        return values.shape[-1] if values.ndim else 0
    return config.head.size


def _row(
    question: Question, number: int, values: NDArray[Any], answer: Answer, *, pooled: bool
) -> RowAnswer:
    columns = question.answered_columns(number)
    first = max(question.prefill - 1, answer.first, 0)
    own = values[number : number + 1] if pooled else values[number, columns]
    if answer.kind in PER_TOKEN:
        own = own[:, None]
    if answer.kind == "token_log_probs":
        own = own[: len(question.rows[number].answered) - 1]  # nothing comes after the last
    bad = ~np.isfinite(own[first:])
    # a log-probability may be -∞ where there is none
    if answer.kind not in ("logits", *HEADLESS):
        bad &= own[first:] != -np.inf
    if bad.any():
        at = first + int(np.argwhere(bad)[0][0])
        got = own[at][~np.isfinite(own[at])][0]
        raise SubjectError(
            f"question {question.name!r}: expected finite {answer.kind}, got {got} "
            f"at token {at + 1} of row {question.rows[number].name!r}"
        )
    kept = {}
    for name, x in answer.activations.items():
        if name.partition(" ")[0] == SHOWN:
            kept[name] = x[number]  # of a picture, which has columns of its own
            continue
        written = not question.target.size or name.startswith("decoder ")
        time = question.answered_time if written else question.time
        if x.ndim != _BATCHED or x.shape[:2] != (len(question.rows), time):
            shape = f"({len(question.rows)}, {time}, width)"
            raise SubjectError(
                f"question {question.name!r}: {name}: expected the shape {shape}, got {x.shape}"
            )
        kept[name] = x[number, columns if written else question.columns(number)]
    step = 0.0 if answer.step is None else answer.step[number, columns, None]
    return RowAnswer(own, answer.kind, kept, first, step)
