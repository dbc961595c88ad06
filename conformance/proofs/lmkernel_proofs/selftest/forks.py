"""Runs tasks in forked copies of this process, a few at a time.

Constraints: a child that hangs or dies costs its own task only, and changes nothing in the parent.
Needs a system that can fork.
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

__all__ = ["Outcome", "run_in_children"]

T = TypeVar("T")


@final
@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of a task.

    Args:
        task: task as it was given.
        result: value that the work returned; None where it did not return.
        trouble: reason why it did not return; empty where it did.
        seconds: processor time of the child.
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
    deadline: float
    reply: bytes = b""


def run_in_children(
    tasks: Iterable[T], work: Callable[[T], Any], *, jobs: int, limit: float
) -> Iterator[Outcome[T]]:
    """Call ``work`` on each task in a child of its own; outcomes come as they are ready.

    Args:
        tasks: tasks, started in this order.
        work: function of one task, whose result can be pickled.
        jobs: number of children at a time.
        limit: seconds that a child may take before it is killed.

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
                yield from _collect(running)
        while running.get_map():
            yield from _collect(running)
    finally:
        # Also reached when the caller stops iterating or is interrupted: no child outlives this.
        for key in list(running.get_map().values()):
            os.kill(key.data.process, signal.SIGKILL)
            _reap(key.data, running, "stopped")
        running.close()


def _start(
    task: T, work: Callable[[T], Any], running: selectors.BaseSelector, limit: float
) -> None:
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of threads; NumPy's are idle now
        process = os.fork()
    if process == 0:
        os.close(read)
        _child(task, work, write)
    os.close(write)
    child = _Child(task, process, os.fdopen(read, "rb", buffering=0), time.monotonic() + limit)
    running.register(child.replies, selectors.EVENT_READ, child)


def _child(task: T, work: Callable[[T], Any], write: int) -> None:
    """Do the task and leave the process; never returns."""
    code = 1
    try:
        with os.fdopen(write, "wb") as replies:
            pickle.dump(_attempt(task, work), replies)
        code = 0
    finally:
        os._exit(code)  # not sys.exit: the parent's exit handlers are not the child's to run


def _attempt(task: T, work: Callable[[T], Any]) -> tuple[Any, str]:
    """The result of the work and an empty text, or None and what it raised."""
    try:
        return work(task), ""
    except Exception as error:  # noqa: BLE001 - the parent reports it
        return None, f"{type(error).__name__}: {error}"


def _collect(running: selectors.BaseSelector) -> Iterator[Outcome[Any]]:
    """Wait until at least one child has ended, and yield the outcomes."""
    found: list[Outcome[Any]] = []
    while not found:
        nearest = min(key.data.deadline for key in running.get_map().values())
        for key, _ in running.select(max(0.0, nearest - time.monotonic())):
            # A pipe holds 64 KiB: a child with a longer result would block until it is read.
            more = key.data.replies.read(1 << 20)
            key.data.reply += more
            if not more:
                found.append(_reap(key.data, running, ""))
        for key in list(running.get_map().values()):
            if time.monotonic() > key.data.deadline:
                os.kill(key.data.process, signal.SIGKILL)
                found.append(_reap(key.data, running, "it took too long"))
    yield from found


def _reap(child: _Child[Any], running: selectors.BaseSelector, why: str) -> Outcome[Any]:
    running.unregister(child.replies)
    child.replies.close()
    _, status, usage = os.wait4(child.process, 0)
    seconds = _seconds(usage)
    if why or status:
        return Outcome(child.task, None, why or f"its process ended with {status}", seconds)
    result, trouble = pickle.loads(child.reply)  # noqa: S301 - written by our own child
    return Outcome(child.task, result, trouble, seconds)


def _seconds(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime
