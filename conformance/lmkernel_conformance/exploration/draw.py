"""What a property draws: whole numbers, numbers, and arrays described in a few words.

Constraints: nothing here knows who draws. What is drawn is JSON, so that it can be handed to
another process, printed, and kept as a case. Each choice has a simplest value, named first.
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

__all__ = ["Draw", "Drawn", "host", "short"]

Host = Any
Drawn = dict[str, Any]

_SCALES = (1.0, 0.01, 30.0, 1000.0)
_SHIFTS = (0.0, 5.0, -300.0)


class Draw(ABC):
    """A source of choices; the two abstract ones are all that it must know."""

    @abstractmethod
    def integer(self, low: int, high: int) -> int:
        """A whole number of low … high, low being the simplest."""

    @abstractmethod
    def number(self, low: float, high: float) -> float:
        """A finite number of low … high; zero and whole numbers are simplest."""

    def pick(self, options: Sequence[Any]) -> Any:
        """One of several, the first being the simplest."""
        return options[self.integer(0, len(options) - 1)]

    def flag(self) -> bool:
        """False or true."""
        return bool(self.integer(0, 1))

    def shape(self, least: int, most: int, largest: int = 5) -> list[int]:
        """Extents of ``least`` … ``most`` axes."""
        return [self.integer(1, largest) for _ in range(self.integer(least, most))]

    def axis(self, axes: int) -> int:
        """An axis of an array, from either end."""
        return self.integer(0, axes - 1) - axes * self.integer(0, 1)

    def ones(self, shape: Sequence[int]) -> list[int]:
        """A shape that broadcasts to another of as many axes: some have extent 1."""
        return [1 if self.integer(0, 3) == 1 else extent for extent in shape]

    def narrowed(self, shape: Sequence[int]) -> list[int]:
        """A shape that broadcasts to another: some axes have extent 1, or are not there."""
        kept = self.ones(shape)
        return kept[self.integer(0, len(kept)) if self.integer(0, 3) == 1 else 0 :]

    def array(
        self,
        shape: Sequence[int],
        scales: Sequence[float] = _SCALES,
        shifts: Sequence[float] = _SHIFTS,
    ) -> Drawn:
        """Normal numbers, scaled and shifted."""
        return {
            "shape": list(shape),
            "scale": self.pick(scales),
            "shift": self.pick(shifts),
            "seed": self.integer(0, 99),
        }

    def calm(self, shape: Sequence[int]) -> Drawn:
        """Normal numbers as they are."""
        return self.array(shape, scales=(1.0,), shifts=(0.0,))

    def integers(self, shape: Sequence[int], low: int, high: int) -> Any:
        """A nested list of whole numbers."""
        flat = [self.integer(low, high) for _ in range(math.prod(shape))]
        return np.reshape(np.array(flat, np.int64), tuple(shape)).tolist()


def host(role: str, drawn: Drawn) -> Host:
    """The array that a description stands for; equal ones in two roles differ."""
    shape = tuple(drawn["shape"])
    plain = normals(drawn["seed"], f"explore.{role}", math.prod(shape)).reshape(shape)
    return plain * drawn["scale"] + drawn["shift"]


def short(drawn: Any) -> str:
    """A description in a line: an array is its shape, ``scale·N+shift`` and its seed."""
    if isinstance(drawn, dict) and {"shape", "scale", "seed"} <= set(drawn):
        extents = "×".join(map(str, drawn["shape"])) or "0-d"
        shift = f"{drawn['shift']:+g}" if drawn["shift"] else ""
        return f"{extents} of {drawn['scale']:g}·N{shift} #{drawn['seed']}"
    if isinstance(drawn, dict):
        return ", ".join(f"{name}: {short(value)}" for name, value in drawn.items())
    if isinstance(drawn, list) and any(isinstance(value, dict) for value in drawn):
        return "[" + "; ".join(map(short, drawn)) + "]"
    return json.dumps(drawn)
