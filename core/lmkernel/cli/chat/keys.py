"""The terminal's keys while an answer streams: kept for the next prompt, and not shown."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["hold_keys"]

_LOCAL, _CHARACTERS = 3, 6  # where termios has the local modes, and the special characters


@contextlib.contextmanager
def hold_keys() -> Iterator[None]:
    """Leave what is typed in the terminal's own queue, unseen, until somebody reads it.

    Ctrl-C still interrupts, and does not empty the queue. Does nothing where there is no termios,
    as on Windows, where keys are shown only when they are read.
    """
    try:
        import termios
    except ImportError:
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    held = [*before]
    held[_LOCAL] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    held[_LOCAL] |= termios.NOFLSH
    held[_CHARACTERS] = [*before[_CHARACTERS]]
    held[_CHARACTERS][termios.VMIN], held[_CHARACTERS][termios.VTIME] = 1, 0
    try:
        termios.tcsetattr(terminal, termios.TCSADRAIN, held)
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal may have gone
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
