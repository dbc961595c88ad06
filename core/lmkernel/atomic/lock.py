"""A lock between processes, which the system frees when its holder dies."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lmkernel.atomic.write import unwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lmkernel.errors import LmkernelError

__all__ = ["hold"]


@contextlib.contextmanager
def hold(
    path: Path, error: type[LmkernelError], wait: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the lock that a file stands for; its folder is made.

    Args:
        path: the file, which stays.
        error: the type of what is raised.
        wait: called where another process holds it, before that is waited for; it may raise.

    Raises:
        error: the disk refuses, or its file system has no locks.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            wait()
            lock.acquire()
    except OSError as reason:  # a Timeout is one, too, and was caught
        raise unwritable(path.parent, reason, error) from reason
    except NotImplementedError as reason:
        raise error(f"{path}: cannot be locked: {reason}") from reason
    try:
        yield
    finally:
        lock.release()
