"""compressed-tensors: integers, packed or not, and FP8; the formats of its documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.coded import Coded, fields_of_words
from lmkernel.checkpoints.methods.float8 import float8_codes
from lmkernel.checkpoints.methods.method import Method, require_fit, rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Compressed"]


@final
class Compressed(Method):
    """compressed-tensors: ``weight_packed`` or ``weight``, ``weight_scale``, zeros, ``g_idx``."""

    markers = ("weight_packed", "weight")
    beside = (
        *("weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx"),
        *("input_scale", "input_zero_point", "output_scale"),
    )

    def shape(self, module: str) -> tuple[int, int]:
        """``(out, in)``."""
        if f"{module}.weight_packed" not in self.names:
            out, width = self.tensors.shape(f"{module}.weight")
            return out, width
        if f"{module}.weight_shape" in self.names:
            out, width = (int(n) for n in self.part(module, "weight_shape"))
            return out, width
        out, words = self.tensors.shape(f"{module}.weight_packed")
        return out, words * (32 // int(self.said["num_bits"]))

    def read(self, module: str) -> Coded:
        """Packed codes are shifted by half their range, plain ones are signed."""
        width = self.shape(module)[1]
        scales = self.floats(module, "weight_scale")
        name = f"{module}.weight"
        if f"{module}.weight_packed" in self.names:
            bits = int(self.said["num_bits"])
            codes = fields_of_words(self.part(module, "weight_packed"), bits, 1)[:, :width]
            kind = f"int{bits}"
        elif self.tensors.dtype(name) == "int8":
            codes, kind = (self.part(module, "weight").view(np.uint8) ^ np.uint8(128)), "int8"
        else:
            return float8_codes(self.tensors, module, scales)
        scales = rows_of(scales, len(codes))
        zeros = self._zeros(module, len(codes), 1 << (int(kind[3:]) - 1))
        columns = None
        if f"{module}.weight_g_idx" in self.names:
            order = np.argsort(self.part(module, "weight_g_idx"), kind="stable")
            if (order != np.arange(width)).any():
                columns, codes = order, codes[:, order]
        return require_fit(Coded(kind, codes, scales, zeros, columns), module)

    def _zeros(self, module: str, out: int, half: int) -> NDArray[Any] | None:
        """Signed zeros, or packed ones, as codes."""
        if f"{module}.weight_zero_point" not in self.names:
            return None
        stored = self.part(module, "weight_zero_point")
        if stored.dtype == np.int32:
            return fields_of_words(stored, int(self.said["num_bits"]), 0)[:out]
        return rows_of(stored.astype(np.int32), out) + half
