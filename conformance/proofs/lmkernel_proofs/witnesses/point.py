"""A point: designed inputs at which a formula of the oracle is compared with a second witness.

Constraint: inputs are multiples of 1/64, or of such by a power of two, and are drawn from integers
alone. So they have the same bits everywhere and convert exactly.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.random import raw_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["Point", "grid", "signs"]

Host = Any
Values = dict[str, Any]

_SEED = 4
_STEP = 1 / 64


@final
@dataclass(frozen=True, kw_only=True)
class Point:
    """One comparison.

    Args:
        id: unique name.
        of: functions that it is a witness of, as ``module.function`` of the oracle.
        how: form in which the witness computes them.
        inputs: float64 arrays by name, which are moved and differentiated.
        oracle: function ``(arithmetic, inputs) -> outputs`` over the oracle.
        witness: function ``inputs -> outputs`` over arrays of mpmath's numbers.
        gradient: whether derivatives are compared too.
        ulps: units in the last place allowed beside the effect of the inputs' rounding.
        why: reason for more than 4 units.
        moved: whether the effect of moving the inputs is allowed; not where ties decide.
    """

    id: str
    of: tuple[str, ...]
    how: str
    inputs: Mapping[str, Host]
    oracle: Callable[[Arithmetic, Values], list[Host]]
    witness: Callable[[Values], list[Host]]
    gradient: bool = True
    ulps: int = 4
    why: str = ""
    moved: bool = True

    @property
    def fingerprint(self) -> str:
        """The SHA-256 over names, shapes and bits of the inputs."""
        digest = hashlib.sha256()
        for name, x in sorted(self.inputs.items()):
            numbers = np.asarray(x, np.float64)
            digest.update(f"{name} {numbers.shape} ".encode())
            digest.update(" ".join(v.hex() for v in numbers.ravel().tolist()).encode())
        return digest.hexdigest()


def grid(purpose: str, *shape: int, low: float = -2.0, high: float = 2.0) -> Host:
    """Draw multiples of 1/64 in [low, high], none of them zero."""
    count = math.prod(shape)
    steps = int((high - low) / _STEP) + 1
    drawn = raw_words(_SEED, f"witness.{purpose}", count) % np.uint64(steps)
    x = low + drawn.astype(np.float64) * _STEP
    return np.where(x == 0, _STEP, x).reshape(shape)


def signs(purpose: str, *shape: int) -> Host:
    """Draw -1 or 1 for each element."""
    words = raw_words(_SEED, f"signs.{purpose}", math.prod(shape))
    return (1.0 - 2.0 * (words >> np.uint64(63)).astype(np.float64)).reshape(shape)
