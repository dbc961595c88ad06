"""What a subject multiplies with: a floating-point dtype, or 8 bits with a scale for each block.

Engines with weights of few bits round what these are multiplied with, too: of each block of so many
elements, to whole multiples of a 127th of the largest. ``"int8x32"`` is such an arithmetic with
blocks of 32. Its budget is measured by honest runs that round in the same way, and is float32's
otherwise.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import SubjectError
from lmkernel.numerics import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["check_arithmetic", "dtype_of", "rounded_products"]

_BLOCKS = "int8x"
_MOST = 127


def check_arithmetic(name: str) -> str:
    """The name, of a dtype or of blocks.

    Raises:
        SubjectError: it is neither.
    """
    if name in FORMATS or _block(name):
        return name
    known = f"{', '.join(FORMATS)} or {_BLOCKS}N"
    raise SubjectError(f"arithmetic: expected {known}, got {name!r}")


def dtype_of(name: str) -> str:
    """The dtype by whose units in the last place an arithmetic is judged."""
    return "float32" if _block(name) else name


def rounded_products(name: str) -> Mapping[str, Callable[..., Array]]:
    """The operations that round what they are given first; none for a dtype."""
    if not (size := _block(name)):
        return {}
    return {n: partial(_multiply, name=n, size=size) for n in ("linear", "expert_linear")}


def _block(name: str) -> int:
    size = name.removeprefix(_BLOCKS)
    return int(size) if name.startswith(_BLOCKS) and size.isdecimal() else 0


def _multiply(ops: Ops, x: Array, *given: Any, name: str, size: int, **options: Any) -> Array:
    host = np.asarray(ops.to_numpy(x))
    width = host.shape[-1]
    padded = np.pad(host.reshape(-1, width), ((0, 0), (0, -width % size)))
    blocks = padded.reshape(len(padded), -1, size)
    scale = np.abs(blocks).max(-1, keepdims=True) / _MOST
    steps = np.rint(np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale > 0))
    # the scale itself is kept in float16
    rounded = (
        (steps * scale.astype(np.float16).astype(host.dtype))
        .reshape(padded.shape)[:, :width]
        .reshape(host.shape)
    )
    made: Array = getattr(ops, name)(ops.asarray(rounded, ops.dtype(x)), *given, **options)
    return made
