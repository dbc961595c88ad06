"""An end to code that does not come back, where the system can interrupt it."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lmkernel.errors import SubjectError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["time_limit"]

_AGAIN = 1.0


@contextmanager
def time_limit(seconds: float, where: str) -> Iterator[None]:
    """Interrupt a block of Python in the main thread once its time is over.

    Elsewhere, and where an alarm is set already, such as a test's own, nothing is interrupted.

    Args:
        seconds: the time; it is interrupted again each second, lest it went on.
        where: what runs, for the message.

    Raises:
        SubjectError: it took longer.
    """

    def end(_signal: int, _frame: Any) -> None:
        raise SubjectError(f"{where}: no answer within {seconds:g} s")

    if not _is_free():
        yield
        return
    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_free() -> bool:
    """Whether there is an alarm, and nobody else's."""
    if not hasattr(signal, "setitimer") or threading.current_thread() != threading.main_thread():
        return False
    unset = signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    return unset and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
