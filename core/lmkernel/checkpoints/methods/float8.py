"""Floating numbers of 8 bits, with scales for blocks (arXiv:2412.19437, §3.3), rows or all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.coded import Coded
from lmkernel.checkpoints.dtypes import POWERS
from lmkernel.checkpoints.methods.method import Method, require_fit, rows_of
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.checkpoints.tensors import Tensors

__all__ = ["Fp8", "float8_codes"]

_KEY = "weight_block_size"
_BLOCK = (128, 128)
"""Rows and columns of a block where the key is not there, as in transformers."""
_SCALES = ("weight_scale_inv", "weight_scale")


@final
class Fp8(Method):
    """E4M3 with ``weight_scale_inv`` for blocks, or ``weight_scale`` for rows or all.

    Scales are floating numbers, or powers of two in a byte each (E8M0, ``scale_fmt: "ue8m0"``).
    """

    markers = ("weight",)
    beside = (*_SCALES, "input_scale", "activation_scale", "input_scale_ub")

    def __init__(self, tensors: Tensors, said: Mapping[str, Any]) -> None:
        super().__init__(tensors, said)
        self._block = _block_size(said.get(_KEY))

    def holds(self, module: str, marker: str) -> bool:
        """Whether there are scales of the weight."""
        del marker
        return any(f"{module}.{end}" in self.names for end in _SCALES)

    def shape(self, module: str) -> tuple[int, int]:
        """``(out, in)``."""
        out, width = self.tensors.shape(f"{module}.weight")
        return out, width

    def read(self, module: str) -> Coded:
        """The codes, with scales for each group of each row."""
        end = next(end for end in _SCALES if f"{module}.{end}" in self.names)
        scales, block = self._scales(module, end), self._block
        if _KEY not in self.said and not _are_of_rows(scales, self.shape(module)):
            block = _BLOCK
        return float8_codes(self.tensors, module, scales, block)

    def _scales(self, module: str, end: str) -> NDArray[np.float32]:
        stored = self.part(module, end)
        if stored.dtype == np.uint8:
            powers: NDArray[np.float32] = POWERS[stored]
            return powers
        if stored.dtype.kind != "f":
            raise CheckpointError(
                f"tensor '{module}.{end}': expected floating numbers, or powers of two in bytes, "
                f"got {stored.dtype}"
            )
        return stored.astype(np.float32)


def _block_size(said: Any) -> tuple[int, int] | None:
    """Rows and columns of a block; None where scales are for rows or for all."""
    if said is None:
        return None
    sizes = said if isinstance(said, list) else []
    if [*map(type, sizes)] != [int, int] or min(sizes) < 1:
        raise CheckpointError(f"{_KEY}: expected two whole numbers of at least 1, got {said!r:.80}")
    return sizes[0], sizes[1]


def _grid(block: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int]:
    """How many blocks a weight ``(out, in)`` has, the last ones cut off."""
    return -(-shape[0] // block[0]), -(-shape[1] // block[1])


def _are_of_rows(scales: NDArray[np.float32], shape: tuple[int, int]) -> bool:
    """Whether they are for rows or for all."""
    rows = scales.shape[:1] == shape[:1] and scales.shape != _grid(_BLOCK, shape)
    return rows or scales.size == 1


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
    if block is None or scales.shape in {(), (1,)}:
        spread = rows_of(scales, len(codes))
    else:
        spread = _spread_blocks(scales, block, tensors.shape(name), module)
    return require_fit(Coded(kinds[tensors.dtype(name)], codes, spread), module)


def _spread_blocks(
    scales: NDArray[np.float32], block: tuple[int, int], shape: tuple[int, ...], module: str
) -> NDArray[np.float32]:
    """Those of each row, ``(out, groups)``, from one for each block of a weight ``(out, in)``."""
    (out, width), expected = shape, _grid(block, shape)
    if scales.shape != expected:
        raise CheckpointError(
            f"{module}: {_KEY}: expected scales {expected} for blocks {list(block)!s:.80} of a "
            f"weight {(out, width)}, got {scales.shape}"
        )
    rows, columns = min(block[0], out), min(block[1], width)  # a block may be larger than all
    spread = np.repeat(scales, rows, 0)[:out]
    if width % columns:  # the last block of a row is shorter, so each number gets its scale
        spread = np.repeat(spread, columns, 1)[:, :width]
    return spread
