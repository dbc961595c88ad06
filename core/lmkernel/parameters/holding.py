"""How a model's weights are held once they are loaded: as numbers, as stored, or with few bits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, final

from lmkernel.contract.blocks import Blocks
from lmkernel.errors import InputError, shown
from lmkernel.parameters.pages import release
from lmkernel.parameters.quantising import Scheme, fitting, quantise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.interfaces import Param

__all__ = ["Holding"]

_STORED = "stored"
_MATRIX = 2


@final
class Holding:
    """What becomes of each weight, and a record of it.

    Args:
        said: ``"stored"`` keeps weights that are quantised in their file as they are; ``"int8"``
            and ``"int4"`` quantise the others too, see `fitting`. None makes numbers of all.
        itemsize: bytes of a number.
        later: whether numbers are read when they are packed.

    Attributes:
        bytes: what all parameters take.
        errors: the relative error of each weight that was quantised, by dotted name.
        kinds: the kinds of what is held with few bits.

    Raises:
        InputError: anything else is asked for.
    """

    def __init__(self, said: str | None = None, itemsize: int = 4, *, later: bool = False) -> None:
        if not (said is None or isinstance(said, str)):
            raise InputError(f"weights: expected a word such as 'int8', got {shown(said)}")
        self.stored = said == _STORED
        self._scheme = None if said is None or self.stored else fitting(said)
        self._size = itemsize
        self.later = later and self._scheme is None
        self.said, self.bytes = said or "", 0
        self.errors: dict[str, float] = {}
        self.kinds: set[str] = set()

    def keep(self, values: Mapping[str, Any], declared: Mapping[str, Param]) -> dict[str, Any]:
        """What is kept of some parameters."""
        return {name: self._keep(name, value, declared[name]) for name, value in values.items()}

    def _keep(self, name: str, value: Any, param: Param) -> Any:
        fits = param.linear and len(param.shape) == _MATRIX and not isinstance(value, Blocks)
        if self._scheme is not None and fits:
            scheme = self._for(param)
            codes, self.errors[name] = quantise(value, scheme, name)
            release(value)
            value = codes
        if isinstance(value, Blocks):
            self.kinds.add(value.kind)
            self.bytes += value.nbytes
        else:
            self.bytes += math.prod(param.shape) * self._size
        return value

    def _for(self, param: Param) -> Scheme:
        """A vocabulary keeps 8 bits: a token's row is all that there is of it."""
        if self._scheme is None:
            raise AssertionError("nothing is quantised without a scheme")
        return Scheme(8) if param.axes[0] == "vocab" else self._scheme

    def __str__(self) -> str:
        """One line: the kinds, and the error where one was made."""
        text = ", ".join(sorted(self.kinds)) or "nothing with few bits"
        if self.errors:
            worst = max(self.errors, key=self.errors.__getitem__)
            mean = math.sqrt(sum(e * e for e in self.errors.values()) / len(self.errors))
            text += f"; error {mean:.2%} of a weight's size, at most {self.errors[worst]:.2%}"
            text += f" ({worst})"
        return f"{self.said} ({text})"
