"""A parameter that is read when it is packed, so that what reading makes of it is not kept.

A weight of 16 bits, or of blocks, comes from its file as float32, which is a copy. Read one by one,
each is freed before the next one comes; read together, they would take twice the file's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

__all__ = ["Later", "read_now"]


@final
@dataclass(frozen=True, eq=False)
class Later:
    """A host array that is not read yet.

    Args:
        shape: its shape.
        dtype: NumPy's, of a number.
        read: gives the array, a new one or a view of a memory map.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Any]


def read_now(value: Any) -> Any:
    """The array, where it is one for later; anything else as it is."""
    return value.read() if isinstance(value, Later) else value
