"""A program in a pseudo-terminal: what it shows, and what is typed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import termios
from typing import TYPE_CHECKING, Self, final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Terminal"]

_PATIENCE = 30.0
"""Seconds until a program that shows nothing is taken to hang."""
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[@-Z\\-_]|\][^\x07]*\x07)")


@final
class Terminal:
    """Runs a program in a terminal of a given width.

    Args:
        command: the program and its arguments.
        columns: the width that the terminal says it has.
        environment: in place of this process's.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], columns: int = 80
    ) -> None:
        self._shown = b""
        self._child, self._file = pty.fork()
        if self._child == 0:  # nothing but the program may run here
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
                os.execve(command[0], list(command), dict(environment))  # noqa: S606 - our own
            finally:
                os._exit(127)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)  # which hangs up a program that is still there
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._child, 0)

    def send(self, keys: str) -> None:
        """Type."""
        os.write(self._file, keys.encode())

    def until(self, text: str) -> str:
        """Read until a text is shown; returns all up to its end, as plain lines, and forgets it."""
        while text not in (shown := self._plain()):
            if not self._read():
                raise AssertionError(f"expected {text!r}, got the end after {shown!r}")
        before, _, rest = shown.partition(text)
        self._shown = rest.encode()
        return before + text

    def end(self) -> int:
        """Read to the program's end; its exit code."""
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])

    def _read(self) -> bool:
        """Whether there was more."""
        if not select.select([self._file], [], [], _PATIENCE)[0]:
            raise AssertionError(f"the program hangs after {self._plain()!r}")
        try:
            data = os.read(self._file, 65536)
        except OSError:  # on Linux the end of the program
            return False
        self._shown += data
        return bool(data)

    def _plain(self) -> str:
        text = self._shown.decode("utf-8", "replace")
        return _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "")
