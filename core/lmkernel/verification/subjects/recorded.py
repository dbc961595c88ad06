"""Arrays of a recorded answer: what each must be is looked at before it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import CheckpointError, SubjectError, shown
from lmkernel.verification.answers import KINDS, PER_TOKEN
from lmkernel.verification.pictures_shown import SHOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lmkernel.checkpoints.tensors import Tensors
    from lmkernel.verification.sequences import Question

__all__ = ["Stored", "read_ids", "read_values"]

_WHOLE = ("int", "uint")
_NUMBERS = (*_WHOLE, "float", "bfloat")
"""How the names of their dtypes begin."""
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
    _require(dtype, _NUMBERS, f"{where}: expected whole numbers")
    made = read().ravel()
    if not dtype.startswith(_WHOLE):
        odd = made[~np.isfinite(made) | (made != np.floor(made))]
        if odd.size:
            raise SubjectError(f"{where}: expected whole numbers, got {odd[0]}")
    return [int(i) for i in made]


def read_values(name: str, value: Any, where: str, question: Question) -> NDArray[Any]:
    """Values or activations of the one row of a question.

    What lies in a file still is compared with the question before it is read.

    Raises:
        SubjectError: no real numbers, or a shape that cannot be the answer's.
    """
    shape, dtype, read = _looked_at(value, where)
    _require(dtype, _NUMBERS, f"{where}: expected real numbers")
    if isinstance(value, Stored):
        _check_shape(name, shape, where, question)
    return read()


def _looked_at(value: Any, where: str) -> tuple[tuple[int, ...], str, Callable[[], NDArray[Any]]]:
    """The shape, the dtype's name, and what reads the values."""
    try:
        if isinstance(value, Stored):
            tensors, name = value.tensors, value.name
            return tensors.shape(name), tensors.dtype(name), lambda: _read(value)
        made = np.asarray(value)
    except CheckpointError as error:
        raise SubjectError(str(error)) from error
    except (TypeError, ValueError) as error:
        told = f"{where}: expected an array of numbers, got {shown(value)}"
        raise SubjectError(f"{told}: {error}") from error
    return made.shape, made.dtype.name, lambda: made


def _read(value: Stored) -> NDArray[Any]:
    try:
        return value.tensors.read(value.name)
    except CheckpointError as error:
        raise SubjectError(str(error)) from error


def _require(dtype: str, kinds: tuple[str, ...], told: str) -> None:
    if not dtype.startswith(kinds):
        raise SubjectError(f"{told}, got {dtype}")


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
