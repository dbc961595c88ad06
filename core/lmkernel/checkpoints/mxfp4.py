"""Weights in MXFP4, read to their exact values (OCP Microscaling Formats v1.0, §5.3.3 and §6.3).

Thirty-two numbers share a scale, a power of two in one byte; each number has four bits, two in a
byte, the first in the lower half. A tensor ``NAME (…, in, out)`` is stored as ``NAME_blocks``
``(…, out, in / 32, 16)`` and ``NAME_scales`` ``(…, out, in / 32)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.dtypes import to_dtype
from lmkernel.checkpoints.tensors import Tensors
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["dequantise", "without_mxfp4"]

_BLOCKS, _SCALES = "_blocks", "_scales"
_PACKED = (_BLOCKS, _SCALES)
"""The ends of names that only tensors in MXFP4 have."""
_MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_VALUES = np.array([*_MAGNITUDES, *(-x for x in _MAGNITUDES)], np.float32)
_BIAS, _NAN, _BYTES = 127, 255, 16


@final
class Mxfp4Tensors(Tensors):
    """The same tensors, those in MXFP4 under the name of what they stand for.

    Args:
        tensors: the checkpoint's.
        where: its path, for messages.

    Raises:
        CheckpointError: blocks without scales or scales without blocks, or of other shapes.
    """

    def __init__(self, tensors: Tensors, where: str) -> None:
        self._tensors, self._where = tensors, where
        there = tensors.names()
        self._packed = {
            name.removesuffix(end)
            for name in there
            for end in (_BLOCKS, _SCALES)
            if name.endswith(end)
        }
        for name in self._packed:
            self._check(name, {*there})
        firsts = [name.removesuffix(_BLOCKS) for name in there if not name.endswith(_SCALES)]
        self._names = tuple(dict.fromkeys(firsts))

    def _check(self, name: str, there: set[str]) -> None:
        for end in (_BLOCKS, _SCALES):
            if name + end not in there:
                raise CheckpointError(f"{self._where}: the tensor {name + end!r} is missing")
            if self._tensors.dtype(name + end) != "uint8":
                raise CheckpointError(f"{self._where}: tensor {name + end!r}: expected bytes")
        scales = self._tensors.shape(name + _SCALES)
        got = self._tensors.shape(name + _BLOCKS)
        if len(scales) < 2 or got != (*scales, _BYTES):  # noqa: PLR2004 - rows of groups
            raise CheckpointError(
                f"{self._where}: tensor {name + _BLOCKS!r}: expected the shape "
                f"{(*scales, _BYTES)}, as there are scales of {scales}, got {got}"
            )

    def names(self) -> tuple[str, ...]:
        """Every name."""
        return self._names

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape."""
        if name not in self._packed:
            return self._tensors.shape(name)
        *more, out, groups = self._tensors.shape(name + _SCALES)
        return (*more, groups * 2 * _BYTES, out)

    def dtype(self, name: str) -> str:
        """The stored type, ``"float32"`` for MXFP4."""
        return "float32" if name in self._packed else self._tensors.dtype(name)

    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        """The values; see `Tensors.read`."""
        if name not in self._packed:
            return self._tensors.read(name, dtype)
        blocks, scales = (self._tensors.read(name + end) for end in (_BLOCKS, _SCALES))
        what = f"{self._where}: tensor {name!r}"
        return to_dtype(dequantise(blocks, scales, what).swapaxes(-1, -2), dtype, what)


def dequantise(blocks: NDArray[Any], scales: NDArray[Any], what: str) -> NDArray[np.float32]:
    """The numbers in rows, ``(…, groups, 16)`` and ``(…, groups)`` bytes to ``(…, groups · 32)``.

    Raises:
        CheckpointError: numbers that are none, or too large for float32.
    """
    both = np.stack([blocks & 15, blocks >> 4], -1).reshape(*scales.shape, 2 * _BYTES)
    powers = scales.astype(np.int32)[..., None] - _BIAS
    with np.errstate(over="ignore"):
        values = np.ldexp(_VALUES[both], powers)  # exact: a power of two
    if (scales == _NAN).any() or not np.isfinite(values).all():
        raise CheckpointError(f"{what}: expected finite numbers, got a scale beyond them")
    return values.reshape(*scales.shape[:-1], -1)


def without_mxfp4(
    config: dict[str, Any], tensors: Tensors, where: str
) -> tuple[dict[str, Any], Tensors]:
    """Weights in MXFP4 as the numbers that they are, and a configuration that says nothing else."""
    said = config.get("quantization_config")
    if not isinstance(said, dict) or said.get("quant_method") != "mxfp4":
        return config, tensors
    if not any(name.endswith(_PACKED) for name in tensors.names()):
        return config, tensors
    rest = {key: value for key, value in config.items() if key != "quantization_config"}
    return rest, Mxfp4Tensors(tensors, where)
