"""A thread for calls that may never come back, so that they can be left."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import AbstractContextManager
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OwnThread"]

T = TypeVar("T")


@final
class OwnThread(AbstractContextManager["OwnThread"]):
    """Runs calls one after the other, all in the same thread.

    Libraries that bind what they open to a thread, as sqlite3 does, find themselves in it again. A
    context manager, at whose end the thread ends when its call has come back; with the process it
    ends at any rate.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lost = False
        threading.Thread(target=self._run, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._calls.put(None)

    def call(
        self, work: Callable[[], T], seconds: float | None = None, *, computing: bool = False
    ) -> T:
        """What the call gives, or raises.

        Args:
            work: what is called.
            seconds: how long its answer is waited for; None is for ever.
            computing: whether this process must have computed for as many seconds as well, so that
                a machine that is busy with others is no reason to leave a call.

        Raises:
            TimeoutError: it did not come back in time, or an earlier one did not.
        """
        if self._lost:
            raise TimeoutError
        answer: Future[T] = Future()
        context = copy_context()  # the registry that is in use, among others
        self._calls.put((answer, lambda: context.run(work)))
        began = time.process_time()
        while True:
            try:
                return answer.result(seconds)
            except TimeoutError:
                if answer.done():  # it is the call's own
                    raise
                if not computing or time.process_time() - began >= (seconds or 0):
                    raise
            finally:
                self._lost = not answer.done()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            answer, work = call
            try:
                answer.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised where it was called
                answer.set_exception(error)
