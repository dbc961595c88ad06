"""Files mapped into memory.

Constraints: reading costs no copy and touches only the pages used. The map is private and
copy-on-write: its arrays count as writable, which frameworks that share host memory ask for, but
nothing is ever written to the file.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import numpy as np

from lmkernel.errors import CheckpointError
from lmkernel.files import open_regular

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["is_pickle", "map_file", "refuse_pickle", "refuse_pointer"]

_POINTER = b"version https://git-lfs"
_PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_MAGIC = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))


def map_file(path: Path) -> NDArray[np.uint8]:
    """The bytes of a file, (size,), mapped and not read.

    Raises:
        CheckpointError: the file is missing, not a regular file, empty, cannot be mapped, or only
            stands for another.
    """
    try:
        with open_regular(path) as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except ValueError as error:  # what mmap raises for an empty file
        raise CheckpointError(f"{path}: the file is empty") from error
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    data = np.frombuffer(mapped, np.uint8)
    refuse_pointer(str(path), data[: len(_POINTER)].tobytes())
    return data


def is_pickle(path: Path, head: bytes) -> bool:
    """Whether a name or the first bytes are those of a pickle, or of PyTorch's zip of one."""
    return path.suffix.lower() in _PICKLE_SUFFIXES or head.startswith((_ZIP_MAGIC, *_PICKLE_MAGIC))


def refuse_pickle(path: Path) -> CheckpointError:
    """The error for a pickle: it could run any code, so it is never loaded."""
    return CheckpointError(
        f"{path}: a pickle checkpoint can run any code, so lmkernel never loads one; "
        "convert it to safetensors where you trust it"
    )


def refuse_pointer(what: str, head: bytes) -> None:
    """Raise `CheckpointError` if the first bytes are those of git-lfs's pointer to a file."""
    if head.startswith(_POINTER):
        raise CheckpointError(
            f"{what}: this is a pointer of git-lfs, not the file that it stands for; "
            "fetch that with: git lfs pull"
        )
