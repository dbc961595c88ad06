"""A display: a block that is drawn over on a terminal, few lines elsewhere, nothing without."""

from __future__ import annotations

import io
import re
from typing import final

import pytest

from lmkernel.training.run import surfaces as surfaces_module
from lmkernel.training.run.meter import Reading
from lmkernel.training.run.progress import Display, Workload, open_display
from lmkernel.training.run.readings import duration
from lmkernel.training.run.surfaces import Block, Lines

WORK = Workload(total=40, flops_per_token=1e6, peak=1e9)


@final
class Terminal(io.StringIO):
    """A terminal whose screen can be looked at."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """What a reader sees: lines, with the block drawn over as the signs say."""
        lines = [""]
        for sign in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", self.getvalue()):
            if sign == "\n":
                lines.append("")
            elif sign == "\x1b[A":
                lines.pop()
            elif sign == "\x1b[J":
                lines[-1] = ""
            elif not sign.startswith(("\x1b", "\r")):
                lines[-1] += sign
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


def reading(step: int = 12) -> Reading:
    return Reading(
        step=step,
        loss=2.34567,
        rate=3e-4,
        speed=12345.6,
        share=0.42,
        left=83.0,
        memory=412_000_000,
        peak_memory=530_000_000,
    )


@pytest.fixture(autouse=True)
def _usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_reading_is_one_line_elsewhere() -> None:
    stream = io.StringIO()
    Lines(stream).show(40, reading())
    assert stream.getvalue() == (
        "step 12/40: loss 2.3457, rate 3.00e-04, 12,346 tokens/s, 42% of peak, "
        "memory 412 MB, at most 530 MB, 1:23 left\n"
    )


def test_reading_is_two_lines_on_a_terminal() -> None:
    terminal = Terminal()
    Block(terminal).show(40, reading())
    first, second = terminal.screen()
    assert re.fullmatch(r"step 12/40  [#-]{24}  loss 2\.3457  1:23 left", first)
    assert second == "rate 3.00e-04  12,346 tokens/s  42% of peak  memory 412 MB  at most 530 MB"


def test_bar_fills() -> None:
    fills = []
    for step in (0, 10, 40):
        terminal = Terminal()
        Block(terminal).show(40, reading(step))
        fills.append(terminal.screen()[0].count("#"))
    assert fills == [0, 6, 24]


def test_bar_is_drawn_with_lines_where_the_encoding_has_them() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    Block(stream).show(40, reading())
    stream.seek(0)
    assert stream.readline().count("━") == 7


@pytest.mark.parametrize("columns", [1, 8, 14, 20, 33, 41, 60, 79, 200])
def test_block_never_wraps(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal = Terminal()
    block = Block(terminal)
    block.show(40, reading())
    lines = terminal.screen()
    assert len(lines) == 2
    assert max(map(len, lines)) < max(columns, 2)


def test_block_is_drawn_over_and_lines_stay_above() -> None:
    terminal, clock = Terminal(), Clock()
    with Display(WORK, Block(terminal), clock) as display:
        display.say("begin")
        train(display, clock, range(1, 21), seconds=1)
        display.update(20, {"validation/loss": 3.25, "validation/bits_per_byte": 1.5})
        train(display, clock, range(21, 41), seconds=1)
    screen = terminal.screen()
    assert screen[:2] == ["begin", "step 20/40: validation loss 3.2500, bits per byte 1.5000"]
    assert screen[2].startswith("step 40/40  ########################  loss 2.0000")
    assert screen[3].startswith("rate 3.00e-04  300 tokens/s  30% of peak")
    assert screen[4:] == [""]


def test_block_is_drawn_at_most_ten_times_a_second() -> None:
    terminal, clock = Terminal(), Clock()
    display = Display(WORK, Block(terminal), clock)
    train(display, clock, range(1, 41), seconds=1 / 64)
    assert terminal.getvalue().count("step") == 6


def test_lines_come_every_ten_seconds_and_at_the_end() -> None:
    stream, clock = io.StringIO(), Clock()
    with Display(WORK, Lines(stream), clock) as display:
        train(display, clock, range(1, 31), seconds=1)
        display.update(30, {"validation/loss": 3.25})
        train(display, clock, range(31, 39), seconds=0.25)
    told = [line.partition(":")[0] for line in stream.getvalue().splitlines()]
    assert told == [
        "step 1/40",
        "step 11/40",
        "step 21/40",
        "step 30/40",
        "step 34/40",
        "step 38/40",
    ]


def test_end_is_not_told_twice() -> None:
    stream, clock = io.StringIO(), Clock()
    display = Display(WORK, Lines(stream), clock)
    train(display, clock, range(1, 2), seconds=1)
    display.close()
    display.close()
    assert stream.getvalue().count("step 1/40") == 1


def test_evaluation_and_checkpoint_are_no_part_of_the_speed() -> None:
    stream, clock = io.StringIO(), Clock()
    with Display(WORK, Lines(stream), clock) as display:
        train(display, clock, range(1, 21), seconds=1)
        clock.now += 50
        display.update(20, {"validation/loss": 1.0})
        train(display, clock, range(21, 31), seconds=1)
        with display.paused():
            clock.now += 50
        train(display, clock, range(31, 33), seconds=1)
    assert "300 tokens/s" in stream.getvalue().splitlines()[-1]


@pytest.mark.parametrize(
    ("stream", "term", "surface"),
    [
        (Terminal(), "xterm", "Block"),
        (Terminal(), "dumb", "Lines"),
        (io.StringIO(), "xterm", "Lines"),
        (None, "xterm", "Nothing"),
    ],
)
def test_display_fits_the_stream(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None, term: str, surface: str
) -> None:
    monkeypatch.setenv("TERM", term)
    display = open_display(WORK, stream)
    assert type(display._surface) is getattr(surfaces_module, surface)


def test_display_without_a_stream_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with open_display(WORK, None) as display:
        display.say("hello")
        display.update(1, {"train/loss": 1.0})
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (65.4, "1:05"), (3599.6, "1:00:00"), (7265, "2:01:05")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
