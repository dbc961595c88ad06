"""Ctrl-C in a conversation stops an answer at any place, and never leaves."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import stand_in
from terminals import Terminal

from lmkernel.cli.chat.interrupts import Interrupts
from lmkernel.start import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Iterator

# the program itself, with a model that interrupts it at one place, once
PROGRAM = """
import signal, sys
from stand_in import StandIn
from lmkernel.cli.chat import command, talk
from lmkernel.start import main

def asked():
    import interrupts_when_imported  # what an answer imports when it is asked for

def streaming():
    import interrupts_when_imported

def telling_an_error(text, note=talk.note):
    note(text)
    if "nosuch" in text:
        signal.raise_signal(signal.SIGINT)

def say(messages):
    if place == "asked":
        asked()
    return f"you said {messages[-1]['content']}"

place = sys.argv.pop()
if place == "telling":
    talk.note = telling_an_error
wait = streaming if place == "streaming" else lambda: None
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever began the tests, as nohup does
command.load = lambda _: StandIn(say, wait)
sys.exit(main())
"""


def start(folder: Path, place: str, *arguments: str) -> Terminal:
    module = "import signal\nsignal.raise_signal(signal.SIGINT)\nvalue = 1\n"
    (folder / "interrupts_when_imported.py").write_text(module, "utf-8")
    path = os.pathsep.join([str(folder), str(Path(stand_in.__file__).parent), *sys.path])
    own = {"LMKERNEL_HOME": str(folder), "TERM": "dumb", "PYTHONPATH": path}
    command = [sys.executable, "-c", PROGRAM, "chat", *arguments, place]
    return Terminal(command, {**os.environ, **own})


@pytest.mark.parametrize(
    ("place", "question", "said"),
    [
        ("asked", "hello", "[stopped; /continue goes on, /retry asks again]"),
        ("streaming", "a hold b", "[stopped; /continue goes on, /retry asks again]"),
        ("telling", "/nosuch", "is written //nosuch"),
    ],
)
def test_an_interrupt_where_none_can_be_raised_does_not_leave(
    tmp_path: Path, place: str, question: str, said: str
) -> None:
    with start(tmp_path, place) as chat:
        chat.until(">")
        chat.send(f"{question}\n")
        chat.until(said)
        chat.until(">")
        chat.send("next\n")
        chat.until("you said next\n")
        chat.send("/quit\n")
        assert chat.end() == 0


def test_one_answer_is_left_at_once(tmp_path: Path) -> None:
    with start(tmp_path, "asked", "a question alone") as answer:
        answer.until("interrupted")
        assert answer.end() == INTERRUPTED


@pytest.fixture
def _usual() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_usual")
def test_an_interrupt_is_raised_where_it_is_expected_and_put_off_elsewhere() -> None:
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.expected():
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # nobody waits for it
        with interrupts.expected():
            assert list(interrupts.stopping("ab")) == ["a", "b"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("_usual")
def test_an_ignored_interrupt_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts() as interrupts, interrupts.expected():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
