"""Two names of the disk exchanged in one step, which Python's library has no function for."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["exchange"]

_HERE = -100  # AT_FDCWD: paths are relative to the working directory
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def exchange(one: Path, other: Path) -> bool:
    """Exchange two folders or files that are there.

    Returns:
        False, with nothing changed, where the system or the file system can't.

    Source: renameat2(2) of Linux, renamex_np(2) of macOS.
    """
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "linux":
            rename = ctypes.CDLL(None).renameat2
            return bool(rename(_HERE, first, _HERE, second, _EXCHANGE) == 0)
        if sys.platform == "darwin":
            return bool(ctypes.CDLL(None).renamex_np(first, second, _EXCHANGE) == 0)
    except (AttributeError, OSError):  # a C library without it
        pass
    return False
