"""The pages of a memory map that an array lies in."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["owner_of", "release"]


def release(x: NDArray[Any]) -> None:
    """Give the pages of a memory map back; a later read gets them from the file again."""
    owner = owner_of(x)
    if not (isinstance(owner, mmap.mmap) and x.flags.c_contiguous and hasattr(owner, "madvise")):
        return
    begin = x.ctypes.data - np.frombuffer(owner, np.uint8, 1).ctypes.data
    # whole pages only: the first and last may also hold the end of a neighbour not packed yet
    first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
    length = (begin + x.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
    if length > 0:
        owner.madvise(mmap.MADV_DONTNEED, first, length)


def owner_of(x: NDArray[Any]) -> object:
    """What holds the memory, when it is no array: a memory map or another buffer."""
    base: Any = x
    while hasattr(base, "base"):  # an array, or what a strided view keeps of one
        base = base.base
    return base.obj if isinstance(base, memoryview) else base
