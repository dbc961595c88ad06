"""Arrays of a recorded answer: what each must be is looked at before it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError, SubjectError
from lmkernel.verification.answers import (
    KINDS,
    PER_TOKEN,
    as_array,
    require_numbers,
    whole_numbers,
)
from lmkernel.verification.pictures_shown import SHOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lmkernel.checkpoints.tensors import Tensors
    from lmkernel.verification.sequences import Question

__all__ = ["Stored", "read_ids", "read_values"]

_POOLED = frozenset({"logits", "log_probs", "vectors"})
"""What is one vector for the row where the model's head pools, or of a sentence."""
_WIDEST = 2**21
"""No vocabulary has as many tokens, and no layer as many channels."""
_MOST = 2**26
"""Numbers of the vectors of a picture, whose count the question doesn't say."""


@final
@dataclass(frozen=True)
class Stored:
    """An array that lies in a file still.

    Args:
        tensors: the file.
        name: its name there.
    """

    tensors: Tensors
    name: str


def read_ids(value: Any, where: str, count: int) -> list[int]:
    """The token ids that an answer says it is to.

    Args:
        value: a `Stored`, or what is in memory.
        where: of it, for a message.
        count: how many were asked.

    Raises:
        SubjectError: another number of them, or something else than whole numbers.
    """
    shape, dtype, read = _looked_at(value, where)
    if math.prod(shape) != count:
        raise SubjectError(
            f"{where}: the ids are not those asked for: expected {count}, got the shape {shape}"
        )
    require_numbers(dtype, f"{where}: expected whole numbers")
    return whole_numbers(read().ravel(), where)


def read_values(name: str, value: Any, where: str, question: Question) -> NDArray[Any]:
    """Values or activations of the one row of a question.

    What lies in a file still is compared with the question before it is read.

    Raises:
        SubjectError: no real numbers, or a shape that cannot be the answer's.
    """
    shape, dtype, read = _looked_at(value, where)
    require_numbers(dtype, f"{where}: expected real numbers")
    if isinstance(value, Stored):
        _check_shape(name, shape, where, question)
    return read()


def _looked_at(value: Any, where: str) -> tuple[tuple[int, ...], str, Callable[[], NDArray[Any]]]:
    """The shape, the dtype's name, and what reads the values."""
    if not isinstance(value, Stored):
        made = as_array(value, where)
        return made.shape, made.dtype.name, lambda: made
    tensors, name = value.tensors, value.name
    try:
        return tensors.shape(name), tensors.dtype(name), lambda: _read(value)
    except CheckpointError as error:
        raise SubjectError(str(error)) from error


def _read(value: Stored) -> NDArray[Any]:
    try:
        return value.tensors.read(value.name)
    except CheckpointError as error:
        raise SubjectError(str(error)) from error


def _check_shape(name: str, shape: tuple[int, ...], where: str, question: Question) -> None:
    """Refuse an array that is not worth being read: its rows are those of the question."""
    if name.partition(" ")[0] == SHOWN:
        if math.prod(shape) > _MOST:
            raise SubjectError(f"{where}: expected at most {_MOST} numbers, got the shape {shape}")
        return
    written = name in KINDS or name.startswith("decoder ") or not question.target.size
    time = question.answered_time if written else question.time
    if name in PER_TOKEN:
        expected, fits = f"({time},)", shape == (time,)
    else:
        expected = f"({time}, columns)"
        pooled = len(shape) == 1 and name in _POOLED
        fits = pooled or (len(shape) == 2 and shape[0] == time)  # noqa: PLR2004 - a matrix
    if not fits or (shape and shape[-1] > _WIDEST):
        raise SubjectError(f"{where}: expected the shape {expected}, got {shape}")
