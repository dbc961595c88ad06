"""Words wrapped at a terminal's edge, however the text is cut into pieces."""

from __future__ import annotations

import pytest
from wcwidth import wcswidth

from lmkernel.cli.wrapping import WordWrap

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"


def wrap(text: str, columns: int, size: int = 1) -> str:
    """What is shown of a text that comes in pieces of a size."""
    shown: list[str] = []
    wrapping = WordWrap(shown.append, lambda: columns)
    for at in range(0, len(text), size):
        wrapping.push(text[at : at + size])
    wrapping.close()
    return "".join(shown)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("the quick brown fox", 10, "the quick\nbrown fox\n"),
        ("exactly ten", 7, "exactly\nten\n"),
        ("ends here.  \n\nnew", 12, "ends here.\n\nnew\n"),
        ("    indented code", 14, "    indented\ncode\n"),
        ("a\tb", 20, "a       b\n"),
        ("see http://host/a/long/path now", 12, "see\nhttp://host/\na/long/path\nnow\n"),
        ("x" * 25 + " y", 10, "x" * 10 + "\n" + "x" * 10 + "\n" + "x" * 5 + " y\n"),
        ("你好世界你好", 7, "你好世\n界你好\n"),
        ("你好世。界", 6, "你好\n世。界\n"),
        ("一「二」三", 4, "一\n「二\n」三\n"),
        ("中文and英文", 6, "中文\nand英\n文\n"),
        (FAMILY * 3, 5, FAMILY * 2 + "\n" + FAMILY + "\n"),
        ("cafe\u0301 noir", 5, "cafe\u0301\nnoir\n"),
        ("", 10, "\n"),
        ("你", 1, "你\n"),
    ],
)
def test_words_stay_whole(text: str, columns: int, shown: str, size: int) -> None:
    assert wrap(text, columns, size) == shown


@pytest.mark.parametrize("columns", [1, 2, 7, 40])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(columns: int) -> None:
    text = "Words, 单词和表情 🌍👍🏽 and `code` in-between: https://example.org/somewhere/deep ok"
    shown = wrap(text, columns)
    wide = {1: 2}.get(columns, columns)  # a wide character has no place in one column
    assert max(wcswidth(line) for line in shown.split("\n")) <= wide
    assert shown.replace("\n", "").replace(" ", "") == text.replace(" ", "")


def test_word_is_shown_when_it_ends_and_a_long_one_before() -> None:
    shown: list[str] = []
    wrapping = WordWrap(shown.append, lambda: 10)
    wrapping.push("two wo")
    assert "".join(shown) == "two"
    wrapping.push("rds " + "x" * 60)
    assert "".join(shown).count("x") > 20


def test_width_is_that_of_the_moment() -> None:
    width, shown = [30], list[str]()
    wrapping = WordWrap(shown.append, lambda: width[0])
    wrapping.push("a line of thirty columns ")
    width[0] = 10
    wrapping.push("and lines of ten columns")
    wrapping.close()
    assert "".join(shown) == "a line of thirty columns\nand lines\nof ten\ncolumns\n"


def test_control_characters_do_nothing_to_the_terminal() -> None:
    assert wrap("a\x1b[2Jb\r\nc\x07\x9b", 20) == "a\ufffd[2Jb\nc\ufffd\ufffd\n"
