"""One thread owns a model: it steps the scheduler, and does what it is sent between steps."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar, final

from lmkernel.generation import Drawn, Event, Failed, Request, Scheduler
from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lmkernel.language_model import LanguageModel

    Events = asyncio.Queue[Event]

__all__ = ["Worker"]

_T = TypeVar("_T")
_LOG = logging.getLogger("lmkernel.serve")


@final
class Worker:
    """The owner of one model.

    Args:
        model: nobody else computes with it from here on.
        most_rows: the most answers at once.
        most_waiting: the most requests that wait beside those that are answered.
        schedules: whether it generates; a model of an encoder does not.
    """

    def __init__(
        self, model: LanguageModel, *, most_rows: int, most_waiting: int, schedules: bool
    ) -> None:
        self._model = model
        self._most_rows = most_rows
        self._most = most_rows + most_waiting
        self._schedules = schedules
        self._readers: dict[Request, tuple[asyncio.AbstractEventLoop, Events, set[int]]] = {}
        self._sent: deque[Callable[[], object]] = deque()
        self._places = 0
        self._wake = threading.Condition()
        self._closing = False
        self._scheduler: Scheduler | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lmkernel-serve", daemon=True)
        self._thread.start()

    @property
    def most_rows(self) -> int:
        """The most answers at once."""
        return self._most_rows

    @property
    def alive(self) -> bool:
        """Whether it answers."""
        return self._thread.is_alive() and not self._closing

    @property
    def running(self) -> int:
        """How many answers are being written."""
        return self._scheduler.running if self._scheduler else 0

    @property
    def waiting(self) -> int:
        """How many requests have not begun."""
        return self._scheduler.waiting if self._scheduler else 0

    def submit(self, requests: Sequence[Request], events: Events) -> None:
        """Have requests answered; their events are put into a queue of the running loop.

        Raises:
            InputError: one of them can never be answered.
            ApiError: too many wait already, or the server is stopping.
        """
        self._started.wait()
        if self._scheduler is None or not self.alive:
            raise ApiError("the server is stopping", 503, code="stopping")
        for request in requests:
            self._scheduler.check(request)
        loop = asyncio.get_running_loop()
        with self._wake:
            self._check_room(len(self._readers), len(requests))
            for request in requests:
                self._readers[request] = loop, events, set(range(request.choices))
                self._sent.append(lambda own=request: self._own().add(own))  # type: ignore[misc]  # a default binds the loop's variable
            self._wake.notify()

    def cancel(self, requests: Sequence[Request], choice: int | None = None) -> None:
        """End requests, or one answer of each, before the next step; some may be done already."""
        with self._wake:
            for request in requests:
                if self._forget(request, choice):
                    self._sent.append(lambda own=request: self._own().cancel(own, choice))  # type: ignore[misc]  # a default binds the loop's variable
            self._wake.notify()

    async def call(self, function: Callable[[], _T]) -> _T:
        """The result of a function that computes with the model, run between two steps.

        Raises:
            ApiError: too many wait already, or the server is stopping.
        """
        with self.place():
            return await self.turn(function)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Room for one who asks for turns, so that none of them is refused for a full queue.

        Raises:
            ApiError: too many ask already.
        """
        with self._wake:
            self._check_room(self._places, 1)
            self._places += 1
        try:
            yield
        finally:
            with self._wake:
                self._places -= 1

    async def turn(self, function: Callable[[], _T]) -> _T:
        """The same as `call`, of one who has a place; between two turns others have theirs.

        Raises:
            ApiError: the server is stopping.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()

        def run() -> None:
            if future.cancelled():  # whoever asked has gone
                return
            try:
                result = function()
            except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
                loop.call_soon_threadsafe(_settle, future, None, error)
            else:
                loop.call_soon_threadsafe(_settle, future, result, None)

        with self._wake:
            if not self.alive:
                raise ApiError("the server is stopping", 503, code="stopping")
            self._sent.append(run)
            self._wake.notify()
        return await future

    def close(self) -> None:
        """Finish what runs and waits, then end."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _check_room(self, waiting: int, more: int) -> None:
        if waiting + more > self._most:
            raise ApiError(
                f"{waiting} requests are being answered or wait already, of at "
                f"most {self._most}; try again later",
                429,
                code="queue_full",
                headers={"Retry-After": "1"},
            )

    def _own(self) -> Scheduler:
        if self._scheduler is None:
            raise ApiError("the model does not generate", 400)
        return self._scheduler

    def _run(self) -> None:
        if self._schedules:
            self._scheduler = self._make()
        self._started.set()
        while True:
            with self._wake:
                while not self._sent and self._idle() and not self._closing:
                    self._wake.wait()
                if self._closing and not self._sent and self._idle():
                    return
                sent, self._sent = self._sent, deque()
            for do in sent:
                do()
            if not self._idle():
                self._step()

    def _make(self) -> Scheduler:
        own = self._model
        return Scheduler(own.model, own.params, end_ids=own.end_ids, most_rows=self._most_rows)

    def _idle(self) -> bool:
        return self._scheduler is None or self._scheduler.idle

    def _step(self) -> None:
        try:
            events = self._own().step()
        except Exception as error:  # noqa: BLE001 - a fault of ours ends what runs, and the server goes on
            _LOG.exception("a step failed")
            events = [Failed(request, error) for request in list(self._readers)]
            self._scheduler = self._make()
        for event in events:
            self._deliver(event)

    def _deliver(self, event: Event) -> None:
        with self._wake:
            reader = self._readers.get(event.request)
            if reader is None:
                return
            ended = isinstance(event, Failed) or event.request.choices == 0
            if isinstance(event, Drawn) and event.reason:
                self._forget(event.request, event.choice)
            elif ended:
                self._forget(event.request)
        loop, events, _ = reader
        loop.call_soon_threadsafe(events.put_nowait, event)

    def _forget(self, request: Request, choice: int | None = None) -> bool:
        """Whether it was known; a request without an open answer is known no more."""
        reader = self._readers.get(request)
        if reader is None:
            return False
        reader[2].discard(choice) if choice is not None else reader[2].clear()
        if not reader[2]:
            del self._readers[request]
        return True


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    """Unless whoever asked has gone."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
