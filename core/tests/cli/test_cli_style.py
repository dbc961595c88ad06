"""Colour only where it is wanted, columns aligned, sizes short."""

from __future__ import annotations

import io

import pytest

from lmkernel.cli.style import paint
from lmkernel.results import columns, human_size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_terminal_gets_colour() -> None:
    assert paint("error", "red", Terminal()) == "\x1b[31merror\x1b[0m"


def test_pipe_gets_none() -> None:
    assert paint("error", "red", io.StringIO()) == "error"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_environment_forbids_colour(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert paint("error", "red", Terminal()) == "error"


def test_empty_no_color_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    assert paint("error", "red", Terminal()) != "error"


def test_columns_align_all_but_the_last() -> None:
    rows = [["a", "bbb", "c"], ["aaa", "b", "a long last cell"]]
    assert columns(rows) == "a    bbb  c\naaa  b    a long last cell"


def test_columns_of_no_rows() -> None:
    assert columns([]) == ""


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9949, "9.9 kB"),
        (9951, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (538_090_408, "538 MB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_human_size(size: int, text: str) -> None:
    assert human_size(size) == text
