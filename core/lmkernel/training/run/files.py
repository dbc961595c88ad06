"""A file that appears whole or not at all: filled beside its place, flushed, renamed."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from lmkernel.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["unwritable", "write_whole"]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in the place of what was there, which stays if anything fails.

    Raises:
        RunError: the disk refuses.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> RunError:
    """What is raised when the disk refuses."""
    return RunError(f"{path}: cannot be written: {error.strerror or error}")
