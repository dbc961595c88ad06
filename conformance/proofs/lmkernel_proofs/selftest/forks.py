"""Work done in child processes, each a copy of this one, a few at a time.

Constraints: a child that hangs or dies costs its own task only, and leaves nothing behind in this
process. Needs a system that can fork.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar, final

from lmkernel.errors import InputError

if TYPE_CHECKING:
    import resource
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Done", "forked"]

T = TypeVar("T")


@final
@dataclass(frozen=True)
class Done(Generic[T]):
    """What became of a task.

    Args:
        task: what was asked.
        result: what the work returned; None where it ended otherwise.
        trouble: how it ended, or empty.
        seconds: of the processor.
    """

    task: T
    result: Any
    trouble: str
    seconds: float


@final
@dataclass
class _Child(Generic[T]):
    task: T
    process: int
    replies: BinaryIO
    ends: float
    said: bytes = b""


def forked(
    tasks: Iterable[T], work: Callable[[T], Any], *, jobs: int, limit: float
) -> Iterator[Done[T]]:
    """Do ``work`` for each task in a child; results come as they are ready.

    Args:
        tasks: in order.
        work: its result is pickled.
        jobs: children at a time.
        limit: seconds for each; what takes longer is ended.

    Raises:
        InputError: the system cannot fork.
    """
    if not hasattr(os, "fork"):
        raise InputError("the self-test needs a system that can fork, such as Linux or macOS")
    waiting, running = iter(tasks), selectors.DefaultSelector()
    try:
        for task in waiting:
            _start(task, work, running, limit)
            if len(running.get_map()) >= jobs:
                yield from _finished(running)
        while running.get_map():
            yield from _finished(running)
    finally:
        for key in list(running.get_map().values()):
            os.kill(key.data.process, signal.SIGKILL)
            _ended(key.data, running, "stopped")
        running.close()


def _start(
    task: T, work: Callable[[T], Any], running: selectors.BaseSelector, limit: float
) -> None:
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # threads of NumPy's library do nothing at this moment
        process = os.fork()
    if process == 0:
        os.close(read)
        _child(task, work, write)
    os.close(write)
    child = _Child(task, process, os.fdopen(read, "rb", buffering=0), time.monotonic() + limit)
    running.register(child.replies, selectors.EVENT_READ, child)


def _child(task: T, work: Callable[[T], Any], write: int) -> None:
    """Never returns."""
    code = 1
    try:
        with os.fdopen(write, "wb") as replies:
            pickle.dump(_outcome(task, work), replies)
        code = 0
    finally:
        os._exit(code)


def _outcome(task: T, work: Callable[[T], Any]) -> tuple[Any, str]:
    """The result, or what was raised instead."""
    try:
        return work(task), ""
    except Exception as error:  # noqa: BLE001 - it is told in the other process
        return None, f"{type(error).__name__}: {error}"


def _finished(running: selectors.BaseSelector) -> Iterator[Done[Any]]:
    """Wait until one ends at least."""
    found: list[Done[Any]] = []
    while not found:
        nearest = min(key.data.ends for key in running.get_map().values())
        for key, _ in running.select(max(0.0, nearest - time.monotonic())):
            more = key.data.replies.read(1 << 20)
            key.data.said += more
            if not more:
                found.append(_ended(key.data, running, ""))
        for key in list(running.get_map().values()):
            if time.monotonic() > key.data.ends:
                os.kill(key.data.process, signal.SIGKILL)
                found.append(_ended(key.data, running, "it took too long"))
    yield from found


def _ended(child: _Child[Any], running: selectors.BaseSelector, why: str) -> Done[Any]:
    running.unregister(child.replies)
    child.replies.close()
    _, status, usage = os.wait4(child.process, 0)
    seconds = _seconds(usage)
    if why or status:
        return Done(child.task, None, why or f"its process ended with {status}", seconds)
    result, trouble = pickle.loads(child.said)  # noqa: S301 - our own child's words
    return Done(child.task, result, trouble, seconds)


def _seconds(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime
