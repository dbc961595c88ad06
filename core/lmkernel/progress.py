"""What long work says of itself: bars on a terminal, plain lines elsewhere, or calls."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, final

from lmkernel.errors import InputError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PatientStream", "Progress", "ProgressLike", "as_progress", "duration", "new_bar"]

_QUIET = 60.0
"""Seconds between two lines about long work that nobody watches."""

_COLUMNS = 80
Report = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is; 0 of 0 is a line."""


@final
class Progress:
    """Reports on one stream, or to a function.

    Args:
        stream: usually standard error; None keeps silent.
        report: called in place of a stream.
        quiet: whether a stream gets notes alone.
    """

    def __init__(
        self, stream: TextIO | None = None, report: Report | None = None, *, quiet: bool = False
    ) -> None:
        self._stream = None if stream is None else PatientStream(stream)
        self._report = report
        self._quiet = quiet

    @property
    def live(self) -> bool:
        """Whether somebody is watching: the stream is a terminal, on which a bar can be drawn."""
        watched = self._stream is not None and self._stream.inner.isatty()
        return watched and not self._quiet and os.environ.get("TERM") != "dumb"

    @property
    def stream(self) -> TextIO | None:
        """Where lines go."""
        return self._stream and self._stream.inner

    @property
    def report(self) -> Report | None:
        """What is called in place of a stream."""
        return self._report

    def say(self, line: str) -> None:
        """One line of progress that stays; a bar that is being drawn goes on below it."""
        if not self._quiet:
            self.note(line)

    def note(self, line: str) -> None:
        """One line about the result, such as what is not read: who is quiet says it too."""
        if self._report is not None:
            self._report(line, 0, 0)
        elif self._stream is not None and self.live:
            from tqdm import tqdm

            tqdm.write(line, file=self._stream)
        elif self._stream is not None:
            print(line, file=self._stream, flush=True)

    def _lines(self, what: str, total: int) -> Callable[[int], None]:
        """Says now and then how much is done, and how long the rest will take."""
        done, begun = 0, time.monotonic()
        due = begun + _QUIET

        def advance(amount: int) -> None:
            nonlocal done, due
            done += amount
            now = time.monotonic()
            if now >= due and 0 < done < total:
                due = now + _QUIET
                left = (now - begun) * (total - done) / done
                self.say(f"{what}: {done / total:.0%}, {duration(left)} left")

        return advance

    @contextmanager
    def bar(self, what: str, total: int, unit: str = "B") -> Iterator[Callable[[int], None]]:
        """A bar, or one line where nobody watches.

        Args:
            what: what is being done, in a few words.
            total: how much there is to do, in ``unit``.
            unit: bytes by default, shown with the prefixes of the SI.

        Yields:
            a function to be called with how much was done since the last call.
        """
        if self._report is not None:
            yield _counter(self._report, what, total)
        elif not self.live:
            self.say(what)
            yield self._lines(what, total)
        else:
            with new_bar(self.stream, total=total, desc=what, unit=unit, unit_scale=True) as bar:
                yield bar.update


def new_bar(stream: TextIO | None, **options: Any) -> Any:
    """A bar of tqdm that fits its terminal, keeps below what is written, and never fails.

    Args:
        stream: the terminal's.
        options: of tqdm.
    """
    from tqdm import tqdm

    file = None if stream is None else PatientStream(stream)
    bar = tqdm(file=file, ncols=_columns(stream), **options)
    bar.dynamic_ncols = lambda _: (_columns(stream), None)
    return bar


def _columns(stream: TextIO | None) -> int | None:
    """Characters of a line: 80 where a terminal says that it has none, None for no terminal."""
    try:
        return os.get_terminal_size(stream.fileno() if stream else -1).columns or _COLUMNS
    except (OSError, ValueError):
        return None


@final
class PatientStream:
    """A stream that work goes on without: what it does not take is dropped.

    Args:
        inner: the stream.
    """

    def __init__(self, inner: TextIO) -> None:
        self.inner = inner

    def write(self, text: str) -> int:
        """Write, or drop."""
        try:
            return self.inner.write(text)
        except (OSError, ValueError):  # full or gone; closed, or of an encoding that lacks it
            return len(text)

    def flush(self) -> None:
        """Write what was collected, or drop it."""
        try:
            self.inner.flush()
        except (OSError, ValueError):
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __eq__(self, other: object) -> bool:
        """Whether it is of the same stream: tqdm asks, to keep bars below what is written."""
        return isinstance(other, PatientStream) and self.inner is other.inner

    def __hash__(self) -> int:
        return id(self.inner)


def duration(seconds: float) -> str:
    """``"1:05"``, ``"2:01:05"``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _counter(report: Report, what: str, total: int) -> Callable[[int], None]:
    """Adds up, and reports the sum."""
    done = 0

    def advance(amount: int) -> None:
        nonlocal done
        done += amount
        report(what, done, total)

    report(what, 0, total)
    return advance


ProgressLike = Progress | Report | bool | None
"""True is standard error, False and None are silence."""


def as_progress(value: ProgressLike) -> Progress:
    """What a caller passes as ``progress``, as a `Progress`.

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, Progress):
        return value
    if value is None or isinstance(value, bool):
        return Progress(sys.stderr if value else None)
    if callable(value):
        return Progress(report=value)
    raise InputError(f"progress: expected True, False or a function, got {shown(value)}")
