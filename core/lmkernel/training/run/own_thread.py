"""A thread for one tracker's calls, so that a call that never comes back can be left."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OwnThread"]

T = TypeVar("T")


@final
class OwnThread:
    """Runs calls one after the other, all in the same thread, which ends with the process.

    Libraries that bind what they open to a thread, as sqlite3 does, find themselves in it again.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._lost = False
        threading.Thread(target=self._run, daemon=True).start()

    def call(self, work: Callable[[], T], seconds: float | None = None) -> T:
        """What the call gives, or raises.

        Args:
            work: what is called.
            seconds: how long its answer is waited for; None is for ever.

        Raises:
            TimeoutError: it did not come back in time, or an earlier one did not.
        """
        if self._lost:
            raise TimeoutError
        answer: Future[T] = Future()
        context = copy_context()  # the registry that is in use, among others
        self._calls.put((answer, lambda: context.run(work)))
        try:
            return answer.result(seconds)
        finally:
            self._lost = not answer.done()

    def _run(self) -> None:
        while True:
            answer, work = self._calls.get()
            try:
                answer.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised where it was called
                answer.set_exception(error)
