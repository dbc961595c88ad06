"""Ctrl-C in a conversation: it stops an answer, and never leaves.

Constraints: within an import nothing may be raised (`lmkernel.start`), and where nobody waits for
an interrupt it would end the conversation; so it is noted, and raised where an answer is shown.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.start import is_importing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

__all__ = ["Interrupts"]


@final
class Interrupts:
    """What Ctrl-C does while a conversation goes on; a context manager around all of it.

    Where it is ignored, as under nohup, it stays so; so does what another thread than the main one
    cannot change.
    """

    def __init__(self) -> None:
        self._expected = self._came = False
        self._before: Any = None

    def __enter__(self) -> Self:
        ours = threading.current_thread() is threading.main_thread()
        if ours and signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
            self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def expected(self) -> Iterator[None]:
        """A block whose caller waits for `KeyboardInterrupt`; what came before it is forgotten."""
        self._came, self._expected = False, True
        try:
            yield
        finally:
            self._expected = False

    def stopping(self, pieces: Iterable[str]) -> Iterator[str]:
        """The pieces of an answer, until an interrupt that could not be raised when it came.

        Raises:
            KeyboardInterrupt: after the piece that was drawn meanwhile.
        """
        self._raise_late()
        for piece in pieces:
            yield piece
            self._raise_late()

    def _raise_late(self) -> None:
        if self._came:
            self._came = False
            raise KeyboardInterrupt

    def _take(self, _: int, frame: FrameType | None) -> None:
        if self._expected and not is_importing(frame):
            raise KeyboardInterrupt
        self._came = True
