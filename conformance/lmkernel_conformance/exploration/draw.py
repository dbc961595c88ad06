"""The choices of which an example consists: integers, numbers, and short descriptions of arrays.

Constraints: nothing here depends on the generator that draws. An example is a JSON object, so that
it can be sent to another process, printed, and kept as a case. Each choice names its simplest value
first, which is what a search shrinks towards.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.random import normals

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Draw", "Example", "host", "short"]

Host = Any
Example = dict[str, Any]

_SCALES = (1.0, 0.01, 30.0, 1000.0)
_SHIFTS = (0.0, 5.0, -300.0)


class Draw(ABC):
    """A source of choices; a generator implements `integer` and `number`, the rest follows."""

    @abstractmethod
    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included; low is the simplest."""

    @abstractmethod
    def number(self, low: float, high: float) -> float:
        """A finite number from low to high; zero and integers are the simplest."""

    def pick(self, options: Sequence[Any]) -> Any:
        """One of several options; the first is the simplest."""
        return options[self.integer(0, len(options) - 1)]

    def flag(self) -> bool:
        """False, which is the simplest, or true."""
        return bool(self.integer(0, 1))

    def shape(self, least: int, most: int, largest: int = 5) -> list[int]:
        """A shape of ``least`` to ``most`` axes, none longer than ``largest``."""
        return [self.integer(1, largest) for _ in range(self.integer(least, most))]

    def axis(self, axes: int) -> int:
        """An axis of an array, counted from either end."""
        return self.integer(0, axes - 1) - axes * self.integer(0, 1)

    def ones(self, shape: Sequence[int]) -> list[int]:
        """A shape that broadcasts to ``shape``, with as many axes: some have extent 1."""
        return [1 if self.integer(0, 3) == 1 else extent for extent in shape]

    def broadcastable(self, shape: Sequence[int]) -> list[int]:
        """A shape that broadcasts to ``shape``: axes have extent 1, or leading ones are missing."""
        kept = self.ones(shape)
        return kept[self.integer(0, len(kept)) if self.integer(0, 3) == 1 else 0 :]

    def array(
        self,
        shape: Sequence[int],
        scales: Sequence[float] = _SCALES,
        shifts: Sequence[float] = _SHIFTS,
    ) -> Example:
        """A description of normal numbers, scaled and shifted."""
        return {
            "shape": list(shape),
            "scale": self.pick(scales),
            "shift": self.pick(shifts),
            "seed": self.integer(0, 99),
        }

    def calm(self, shape: Sequence[int]) -> Example:
        """A description of standard normal numbers."""
        return self.array(shape, scales=(1.0,), shifts=(0.0,))

    def integers(self, shape: Sequence[int], low: int, high: int) -> Any:
        """A nested list of integers from low to high, both included."""
        flat = [self.integer(low, high) for _ in range(math.prod(shape))]
        return np.reshape(np.array(flat, np.int64), tuple(shape)).tolist()


def host(role: str, drawn: Example) -> Host:
    """The array that a description stands for.

    Args:
        role: the name of the argument; one description gives different numbers in two roles.
        drawn: the description, as `Draw.array` gives it.
    """
    shape = tuple(drawn["shape"])
    plain = normals(drawn["seed"], f"explore.{role}", math.prod(shape)).reshape(shape)
    return plain * drawn["scale"] + drawn["shift"]


def short(drawn: Any) -> str:
    """An example in one line; an array shows as its shape, ``scale·N+shift`` and its seed."""
    if isinstance(drawn, dict) and {"shape", "scale", "seed"} <= set(drawn):
        extents = "×".join(map(str, drawn["shape"])) or "0-d"
        shift = f"{drawn['shift']:+g}" if drawn["shift"] else ""
        return f"{extents} of {drawn['scale']:g}·N{shift} #{drawn['seed']}"
    if isinstance(drawn, dict):
        return ", ".join(f"{name}: {short(value)}" for name, value in drawn.items())
    if isinstance(drawn, list) and any(isinstance(value, dict) for value in drawn):
        return "[" + "; ".join(map(short, drawn)) + "]"
    return json.dumps(drawn)
