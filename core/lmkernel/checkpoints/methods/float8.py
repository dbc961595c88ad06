"""Floating numbers of 8 bits, with scales for blocks (arXiv:2412.19437, §3.3), rows or all."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np

from lmkernel.checkpoints.coded import Coded
from lmkernel.checkpoints.methods.method import Method, require_fit, rows_of
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.checkpoints.tensors import Tensors

__all__ = ["Fp8", "float8_codes"]


@final
class Fp8(Method):
    """E4M3 with ``weight_scale_inv`` for blocks, or ``weight_scale`` for rows or all."""

    markers = ("weight",)
    beside = (
        "weight_scale_inv",
        "weight_scale",
        "input_scale",
        "activation_scale",
        "input_scale_ub",
    )

    def shape(self, module: str) -> tuple[int, int]:
        """``(out, in)``."""
        out, width = self.tensors.shape(f"{module}.weight")
        return out, width

    def read(self, module: str) -> Coded:
        """The codes, with scales for each group of each row."""
        end = next(e for e in self.beside if f"{module}.{e}" in self.names)
        return float8_codes(self.tensors, module, self.floats(module, end), self._block())

    def _block(self) -> tuple[int, int] | None:
        size = self.said.get("weight_block_size")
        return (int(size[0]), int(size[1])) if size else None


def float8_codes(
    tensors: Tensors, module: str, scales: NDArray[np.float32], block: tuple[int, int] | None = None
) -> Coded:
    """The codes of ``MODULE.weight``.

    Args:
        tensors: the checkpoint's.
        module: the module's name.
        scales: one for all, one a row, or one for each block.
        block: rows and columns of a block; None where scales are for rows.
    """
    name = f"{module}.weight"
    kinds = {"float8_e4m3fn": "e4m3", "float8_e5m2": "e5m2"}
    if tensors.dtype(name) not in kinds:
        raise CheckpointError(f"tensor {name!r}: expected float8, got {tensors.dtype(name)}")
    codes = tensors.read(name, "uint8")
    out, width = codes.shape
    if block is None or scales.size == 1:
        return require_fit(Coded(kinds[tensors.dtype(name)], codes, rows_of(scales, out)), module)
    rows = np.repeat(scales, block[0], 0)[:out]
    if width % block[1]:  # the last block of a row is shorter, so each number gets its scale
        rows = np.repeat(rows, block[1], 1)[:, :width]
    return require_fit(Coded(kinds[tensors.dtype(name)], codes, rows), module)
