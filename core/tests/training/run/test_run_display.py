"""A display: a bar on a terminal, few lines elsewhere, calls of a function, nothing without."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import struct
import termios
from typing import final

import pytest

from lmkernel.progress import Progress
from lmkernel.training.run.display import Display
from lmkernel.training.run.meter import Workload

WORK = Workload(total=40, flops_per_token=1e6, peak=1e9)


@final
class Terminal(io.StringIO):
    """A terminal whose screen can be looked at."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """What a reader sees: a carriage return begins the line anew, and blanks wipe it."""
        lines = []
        for line in self.getvalue().split("\n"):
            seen = ""
            for text in line.split("\r"):
                seen = text + seen[len(text) :]
            lines.append(seen.rstrip())
        return lines


@final
class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def train(display: Display, clock: Clock, steps: range, seconds: float) -> None:
    for step in steps:
        clock.now += seconds
        values = {"train/loss": 2.0, "train/rate": 3e-4, "train/tokens": 300.0}
        display.update(step, values)


@pytest.fixture(autouse=True)
def _usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def test_bar_stays_below_the_lines() -> None:
    terminal, clock = Terminal(), Clock()
    with Display(WORK, Progress(terminal), clock) as display:
        display.say("begin")
        train(display, clock, range(1, 21), seconds=1)
        display.update(20, {"validation/loss": 3.25, "validation/bits_per_byte": 1.5})
        train(display, clock, range(21, 41), seconds=1)
    first, second, bar, end = terminal.screen()
    assert first == "begin"
    assert second == "step 20/40: validation loss 3.2500, bits per byte 1.5000"
    speed = "loss 2.0000, 300 tokens/s, 30% of peak, learning rate 3.00e-04, memory"
    assert bar.startswith(f"step 40/40 {20 * '#'} {speed}")
    assert end == ""


def test_bar_fills() -> None:
    terminal, clock = Terminal(), Clock()
    with Display(WORK, Progress(terminal), clock) as display:
        for step in (10, 20):
            train(display, clock, range(step, step + 1), seconds=1)
    fills = [line.count("#") for line in terminal.getvalue().split("\r") if "/40" in line]
    assert {0, 5, 10} <= set(fills)


def test_bar_of_a_resumed_run_begins_where_it_stopped() -> None:
    terminal = Terminal()
    Display(Workload(total=40, start=20), Progress(terminal)).close()
    assert terminal.screen()[0] == "step 20/40 ##########"


def read_all(terminal: int) -> str:
    """What was written to a terminal that has been closed on the other side."""
    data = b""
    with contextlib.suppress(OSError):  # Linux's end of the file
        while block := os.read(terminal, 4096):
            data += block
    os.close(terminal)
    return data.decode()


@pytest.mark.parametrize("columns", [8, 14, 20, 33, 41, 60, 79, 200])
def test_bar_never_wraps(columns: int) -> None:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    clock = Clock()
    with (
        os.fdopen(theirs, "w", encoding="utf-8") as terminal,
        Display(WORK, Progress(terminal), clock) as display,
    ):
        train(display, clock, range(1, 5), seconds=1)
    text = read_all(ours)
    assert "step 4/40"[: columns - 1] in text
    assert max(map(len, re.split(r"[\r\n]", text))) <= columns


def test_bar_is_drawn_at_most_ten_times_a_second() -> None:
    terminal, clock = Terminal(), Clock()
    display = Display(WORK, Progress(terminal), clock)
    train(display, clock, range(1, 41), seconds=1 / 64)
    drawn = re.findall(r"step (\d+)/40", terminal.getvalue())
    assert drawn == ["0", "1", "8", "15", "22", "29", "36"]
    display.close()


def test_lines_come_every_ten_seconds_and_at_the_end() -> None:
    stream, clock = io.StringIO(), Clock()
    with Display(WORK, Progress(stream), clock) as display:
        train(display, clock, range(1, 31), seconds=1)
        display.update(30, {"validation/loss": 3.25})
        train(display, clock, range(31, 39), seconds=0.25)
    steps = [line.partition(":")[0] for line in stream.getvalue().splitlines()]
    assert steps == [
        "step 1/40",
        "step 11/40",
        "step 21/40",
        "step 30/40",
        "step 34/40",
        "step 38/40",
    ]


def test_end_is_shown_once() -> None:
    stream, clock = io.StringIO(), Clock()
    display = Display(WORK, Progress(stream), clock)
    train(display, clock, range(1, 2), seconds=1)
    display.close()
    display.close()
    assert stream.getvalue().count("step 1/40") == 1


def test_evaluation_and_checkpoint_are_no_part_of_the_speed() -> None:
    stream, clock = io.StringIO(), Clock()
    with Display(WORK, Progress(stream), clock) as display:
        train(display, clock, range(1, 21), seconds=1)
        clock.now += 50
        display.update(20, {"validation/loss": 1.0})
        train(display, clock, range(21, 31), seconds=1)
        with display.pause():
            clock.now += 50
        train(display, clock, range(31, 33), seconds=1)
    assert "300 tokens/s" in stream.getvalue().splitlines()[-1]


def test_terminal_that_cannot_draw_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal, clock = Terminal(), Clock()
    with Display(WORK, Progress(terminal), clock) as display:
        train(display, clock, range(1, 2), seconds=1)
    assert re.fullmatch(r"step 1/40: loss 2\.0000, [^\r]*\n", terminal.getvalue())


def test_function_is_called_after_each_step_and_with_each_line() -> None:
    calls: list[tuple[str, int, int]] = []
    progress = Progress(report=lambda *call: calls.append(call))
    with Display(WORK, progress, Clock()) as display:
        train(display, Clock(), range(1, 3), seconds=1)
        display.update(2, {"validation/loss": 3.25})
    assert calls == [
        ("training", 1, 40),
        ("training", 2, 40),
        ("step 2/40: validation loss 3.2500", 0, 0),
    ]


def test_display_without_a_stream_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with Display(WORK, Progress()) as display:
        display.say("hello")
        display.update(1, {"train/loss": 1.0})
    assert capfd.readouterr() == ("", "")
