"""Progress is a bar on a terminal, lines elsewhere, calls of a function, or nothing at all."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import re
import struct
import sys
import termios
from typing import Any

import pytest

from lmkernel import sources
from lmkernel.errors import InputError
from lmkernel.progress import Progress, as_progress


@pytest.fixture(autouse=True)
def _usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_no_stream_is_silent() -> None:
    progress = Progress()
    progress.say("hello")
    with progress.bar("working", 10) as advance:
        advance(10)
    assert not progress.live


def test_plain_stream_gets_one_line_and_no_bar() -> None:
    stream = io.StringIO()
    with Progress(stream).bar("working", 10) as advance:
        advance(5)
        advance(5)
    assert stream.getvalue() == "working\n"


def test_plain_stream_is_told_of_long_work_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 50.0, 70.0, 100.0, 150.0, 400.0])
    monkeypatch.setattr("lmkernel.progress.time.monotonic", lambda: next(now))
    stream = io.StringIO()
    with Progress(stream).bar("working", 10) as advance:
        for amount in (1, 1, 1, 2, 5):
            advance(amount)
    lines = ["working", "working: 20%, 4:40 left", "working: 50%, 2:30 left"]
    assert stream.getvalue().splitlines() == lines


def test_terminal_gets_a_bar_that_fills() -> None:
    stream = Terminal()
    with Progress(stream).bar("working", 1000) as advance:
        advance(400)
        advance(600)
    assert "working: 100%" in stream.getvalue()
    assert "1.00k/1.00k" in stream.getvalue()


def test_line_stays_above_a_bar() -> None:
    stream = Terminal()
    progress = Progress(stream)
    with progress.bar("working", 1000) as advance:
        progress.say("hello")
        advance(1000)
    above, _, below = stream.getvalue().partition("hello\n")
    assert above.endswith("\r")  # the bar was wiped
    assert "working: 100%" in below


def test_terminal_that_cannot_draw_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with Progress(stream).bar("working", 10) as advance:
        advance(10)
    assert stream.getvalue() == "working\n"


def test_function_gets_the_sum_of_what_is_done() -> None:
    calls: list[tuple[str, int, int]] = []
    progress = as_progress(lambda what, done, total: calls.append((what, done, total)))
    progress.say("hello")
    with progress.bar("working", 10) as advance:
        advance(4)
        advance(6)
    assert calls == [("hello", 0, 0), ("working", 0, 10), ("working", 4, 10), ("working", 10, 10)]


@pytest.mark.parametrize(("value", "stream"), [(True, "stderr"), (False, None), (None, None)])
def test_true_is_standard_error_and_false_is_silence(value: Any, stream: str | None) -> None:
    assert as_progress(value).stream is (getattr(sys, stream) if stream else None)


def test_progress_is_taken_as_it_is() -> None:
    progress = Progress()
    assert as_progress(progress) is progress
    assert sources.Progress is Progress


def test_anything_else_is_refused() -> None:
    with pytest.raises(InputError, match="progress: expected True, False or a function, got 'yes'"):
        as_progress("yes")  # type: ignore[arg-type]  # what is refused


class Broken(Terminal):
    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Gone(Terminal):
    def write(self, _: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


@pytest.mark.parametrize("stream", [Broken(), Gone()])
@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_work_goes_on_without_a_stream_that_takes_nothing(
    monkeypatch: pytest.MonkeyPatch, stream: Terminal, term: str
) -> None:
    monkeypatch.setenv("TERM", term)
    progress = Progress(stream)
    progress.say("hello")
    with progress.bar("working", 10) as advance:
        progress.say("hello")
        advance(10)


@pytest.mark.parametrize(("says", "width"), [(0, 80), (20, 20), (500, 500)])
def test_bar_has_the_columns_of_its_terminal(says: int, width: int) -> None:
    leader, follower = os.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, says, 0, 0))
    with os.fdopen(follower, "w") as stream, os.fdopen(leader, "rb", buffering=0) as shown:
        with Progress(stream).bar("working", 10) as advance:
            advance(10)
        stream.flush()
        drawn = shown.read(4096).decode()
    lines = [line for line in re.split(r"[\r\n]+", drawn) if "working" in line]
    assert {len(line) for line in lines} == {width}


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_who_is_quiet_gets_notes_alone(kind: type[io.StringIO]) -> None:
    stream = kind()
    progress = Progress(stream, quiet=True)
    progress.say("hello")
    with progress.bar("working", 10) as advance:
        progress.note("not read: notes.xml")
        advance(10)
    assert stream.getvalue() == "not read: notes.xml\n"
    assert not progress.live


def test_notes_stand_among_all_else() -> None:
    stream, told = io.StringIO(), []
    Progress(stream).note("not read: notes.xml")
    Progress(report=lambda *said: told.append(said)).note("not read: notes.xml")
    Progress().note("not read: notes.xml")
    assert stream.getvalue() == "not read: notes.xml\n"
    assert told == [("not read: notes.xml", 0, 0)]
