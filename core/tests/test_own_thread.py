"""A call in a thread of its own gives what it gives, and is left when it does not come back."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

import pytest

from lmkernel.own_thread import OwnThread

NAME: ContextVar[str] = ContextVar("name", default="nobody")


def test_calls_are_made_in_one_thread_that_is_not_the_callers() -> None:
    with OwnThread() as thread:
        first, second = thread.call(threading.get_ident), thread.call(threading.get_ident)
    assert first == second != threading.get_ident()


def test_call_sees_the_callers_context() -> None:
    token = NAME.set("caller")
    with OwnThread() as thread:
        assert thread.call(NAME.get) == "caller"
    NAME.reset(token)


@pytest.mark.parametrize("kind", [ValueError, SystemExit, TimeoutError])
def test_what_a_call_raises_is_raised_and_the_next_is_made(kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind("own")

    with OwnThread() as thread:
        with pytest.raises(kind, match="own"):
            thread.call(fail, 60)
        assert thread.call(lambda: 3) == 3


def test_call_that_does_not_come_back_is_left_and_so_are_later_ones() -> None:
    forever = threading.Event()
    with OwnThread() as thread:
        for work in (forever.wait, lambda: 3):
            with pytest.raises(TimeoutError):
                thread.call(work, 0.01)
    forever.set()


def test_waiting_is_no_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with others looks like this."""
    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    with OwnThread() as thread:
        assert thread.call(lambda: time.sleep(0.3) or 3, 0.2, computing=True) == 3


def test_thread_ends_with_its_block() -> None:
    with OwnThread() as thread:
        its = thread.call(threading.current_thread)
    its.join(60)
    assert not its.is_alive()
