"""``lmkernel chat`` in a terminal: what is typed, pasted and interrupted, and what is shown."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import stand_in
from terminals import Terminal

PASTE, PASTED = "\x1b[200~", "\x1b[201~"
CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"


def start(
    folder: Path, *arguments: str, columns: int = 80, term: str = "xterm", **more: str
) -> Terminal:
    """A conversation whose files and history are in a folder."""
    own = {"LMKERNEL_HOME": str(folder / "home"), "TERM": term, "PYTHONUNBUFFERED": "1", **more}
    path = [str(Path(stand_in.__file__).parent), *sys.path]
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    command = [sys.executable, str(Path(stand_in.__file__)), str(folder), *arguments]
    return Terminal(command, {**environment, "PYTHONPATH": os.pathsep.join(path), **own}, columns)


def asked(folder: Path) -> list[Any]:
    """The messages that the model was asked last."""
    found: list[Any] = json.loads((folder / "asked.json").read_text("utf-8"))
    return found


def test_pasted_lines_are_one_message_and_backslash_begins_another_line(tmp_path: Path) -> None:
    with start(tmp_path) as chat:
        chat.until(">")
        chat.send(f"{PASTE}one\r\ntwo\n  three{PASTED}\r")
        chat.until("you said one\ntwo\n  three\n")
        assert [m["content"] for m in asked(tmp_path)] == ["one\ntwo\n  three"]
        chat.send("four\\\rfive\x1b\rsix\r")
        chat.until("you said four\nfive\nsix\n")
        assert asked(tmp_path)[-1]["content"] == "four\nfive\nsix"
        chat.send("exit\r")
        assert chat.end() == 0


def test_text_with_slash_is_asked_and_unknown_command_is_not(tmp_path: Path) -> None:
    with start(tmp_path) as chat:
        chat.send("/etc/passwd: what is it?\r")
        chat.until("you said /etc/passwd: what is it?".replace("/", "").replace("?", ""))
        assert asked(tmp_path)[-1]["content"] == "/etc/passwd: what is it?"
        chat.send("/etc\r")
        chat.until("is written //etc")
        chat.send("//etc\r")
        chat.until("you said etc\n")
        assert asked(tmp_path)[-1]["content"] == "/etc"
        chat.send(CTRL_D)
        assert chat.end() == 0


def test_keys_during_an_answer_are_for_the_next_prompt_and_not_shown(tmp_path: Path) -> None:
    with start(tmp_path) as chat:
        chat.send("first hold second\r")
        chat.until("you said first")
        chat.send(f"typed ahead {PASTE}and\rpasted{PASTED}")
        (tmp_path / "release").touch()
        assert chat.until("second\n") == " hold second\n"
        chat.until("and\n  pasted")
        chat.send("\r")
        chat.until("you said typed ahead and\npasted\n")
        assert asked(tmp_path)[-1]["content"] == "typed ahead and\npasted"


def test_interrupted_answer_stays_and_can_go_on(tmp_path: Path) -> None:
    with start(tmp_path) as chat:
        chat.send("first hold second\r")
        chat.until("you said first")
        chat.send(f"kept{CTRL_C}")
        chat.until("[stopped")
        chat.until("kept")
        chat.send("\x15/continue\r")
        chat.until(" and more\n")
        chat.send("next\r")
        chat.until("you said next\n")
        assert asked(tmp_path)[1]["content"] == "you said first  and more"
        chat.until(">")  # before the prompt is there, what is typed is kept for it
        chat.send(f"half{CTRL_C}/quit\r")
        assert chat.end() == 0


def test_history_outlives_the_program(tmp_path: Path) -> None:
    for keys in (f"{PASTE}remember\rme{PASTED}\r", f"{UP}\r"):
        with start(tmp_path) as chat:
            chat.until(">")
            chat.send(keys)
            chat.until("you said remember\nme\n")
            chat.send(CTRL_D)
            assert chat.end() == 0
    assert (tmp_path / "home" / "chat_history").stat().st_mode & 0o777 == 0o600


def test_history_that_cannot_be_kept_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder", "utf-8")
    with start(tmp_path) as chat:
        chat.send("hello\r")
        chat.until("you said hello\n")
        chat.send(CTRL_D)
        assert chat.end() == 0


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_words_are_wrapped_at_the_edge(tmp_path: Path, term: str) -> None:
    with start(tmp_path, columns=20, term=term) as chat:
        chat.send("several words that go on and on\r")
        assert chat.until("you said several\nwords that go on and\non\n")


def test_b44_narrow_encoding_and_no_columns_end_in_no_traceback(tmp_path: Path) -> None:
    with start(tmp_path, columns=0, PYTHONIOENCODING="ascii") as chat:
        chat.send("some words that go on é 🌍\r")
        chat.until("you said some words that go on")
        assert asked(tmp_path)[-1]["content"] == "some words that go on é 🌍"
        chat.send(CTRL_D)
        assert chat.end() == 0


def test_cut_answer_is_marked(tmp_path: Path) -> None:
    with start(tmp_path, "--max-new-tokens", "8") as chat:
        chat.send("something\r")
        chat.until("you said\n[cut at 8 tokens; /continue goes on]\n")


def test_model_without_template_says_so_before_the_first_question(tmp_path: Path) -> None:
    with start(tmp_path, STAND_IN_TEMPLATE="") as chat:
        chat.until("no chat template; use generate with plain text")
        assert chat.end() == 1
