"""Progress is a bar on a terminal, lines elsewhere, and nothing without a stream."""

from __future__ import annotations

import io

from lmkernel.sources import Progress


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


def test_terminal_gets_a_bar_that_fills() -> None:
    stream = Terminal()
    with Progress(stream).bar("working", 1000) as advance:
        advance(400)
        advance(600)
    assert "working: 100%" in stream.getvalue()
    assert "1.00k/1.00k" in stream.getvalue()
