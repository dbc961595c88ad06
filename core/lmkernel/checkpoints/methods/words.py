"""Codes packed into words: GPTQ (arXiv:2210.17323) and AWQ (arXiv:2306.00978).

Layouts: as AutoGPTQ, GPTQModel and AutoAWQ store them.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.coded import Coded, fields_of_words
from lmkernel.checkpoints.methods.method import Method, require_fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Awq", "Gptq"]

_AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Where in a word the codes of eight neighbours are."""
_NIBBLE = 4
_SECOND = "gptq_v2"


@final
class Gptq(Method):
    """``qweight (in·bits/32, out)``, ``qzeros (groups, out·bits/32)``, scales, ``g_idx``."""

    markers = ("qweight",)
    beside = ("qzeros", "scales", "g_idx", "bias_unused")
    _told = False

    @property
    def _bits(self) -> int:
        return int(self.said["bits"])

    def shape(self, module: str) -> tuple[int, int]:
        """``(out, in)``."""
        rows, out = self.tensors.shape(f"{module}.qweight")
        return out, rows * (32 // self._bits)

    def read(self, module: str) -> Coded:
        """The first format keeps zeros less one; the second as they are."""
        codes = fields_of_words(self.part(module, "qweight"), self._bits, 0).T
        zeros = fields_of_words(self.part(module, "qzeros"), self._bits, 1).T
        if self._keeps_less(zeros, module):
            zeros = (zeros + np.uint8(1)) & np.uint8((1 << self._bits) - 1)
        scales = self.floats(module, "scales").T
        columns, groups = None, scales.shape[1]
        if f"{module}.g_idx" in self.names:
            order = np.argsort(self.part(module, "g_idx"), kind="stable")
            if (order != np.arange(len(order))).any():
                columns, codes = order, codes[:, order]
        return require_fit(
            Coded(f"int{self._bits}", codes, scales, zeros[:, :groups], columns), module
        )

    def _keeps_less(self, stored: NDArray[np.uint8], module: str) -> bool:
        """Whether zeros are stored less one, as the format says.

        Symmetric ones say it themselves, being the middle of the codes, and go before the format:
        there are files of the second format that name the first.
        """
        said = str(self.said.get("checkpoint_format", "gptq"))
        less, middle = said != _SECOND, 1 << (self._bits - 1)
        found = [middle - one for one in (0, 1) if stored.size and (stored == middle - one).all()]
        # transformers' class, too, has sym where nothing says
        if self.said.get("sym", True) is not True or found in ([], [middle - less]):
            return less
        if not self._told:
            self._told = True
            warnings.warn(
                f"{self.where}.checkpoint_format: expected the format of the zeros, which in "
                f"symmetric codes are stored as {middle - less} by {said!r}, got {found[0]} in "
                f"{module!r}: read as of {_SECOND if less else 'gptq'!r}",
                stacklevel=2,
            )
        return not less


@final
class Awq(Method):
    """``qweight (in, out / 8)``, ``qzeros (groups, out / 8)`` in words of another order; scales."""

    markers = ("qweight",)
    beside = ("qzeros", "scales")

    def shape(self, module: str) -> tuple[int, int]:
        """``(out, in)``."""
        rows, words = self.tensors.shape(f"{module}.qweight")
        return words * 8, rows

    def read(self, module: str) -> Coded:
        """The codes, put in order."""
        codes, zeros = (self._in_order(self.part(module, end)) for end in ("qweight", "qzeros"))
        return require_fit(Coded("int4", codes.T, self.floats(module, "scales").T, zeros.T), module)

    def _in_order(self, words: NDArray[Any]) -> NDArray[np.uint8]:
        fields = fields_of_words(words, _NIBBLE, 1).reshape(len(words), -1, 8)
        return fields[..., _AWQ_ORDER].reshape(len(words), -1)
