"""The line of every key, in documents that are as nasty as TOML allows."""

from __future__ import annotations

import random
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from lmkernel.settings.locations import key_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

NASTY = '''\
# a comment = "with" [brackets] = 1
a = """
b = 1 # no key: inside a string
[c]
\\""" still inside \\\\"""   # closed here

"quoted.key" . 'an#other' = 1   # dotted, with blanks
d = \'\'\'
it's = '' """ [x]
\'\'\'\'\'
e = """""f""" # a string that begins with two quotes
g = [ # an array
  1, "],[", # not its end
  # nothing here
  [ 2,
    3 ], { h = "}", i.j = [4] },
]
k = { l = 1, "m n" = { o = 2 } }
1234 = 1979-05-27 07:32:00.5
3.14 = -1.5e+3

  [ p . "q r" ]  # a table
  s = true
[[t]]
u = 1
[[t]]
[t.v]
w = 1
[[t.x]]
[[t.x]]
y = "a \\" ] = b"
[p.z]
-_- = '#'
'''
EXPECTED: dict[tuple[str | int, ...], int] = {
    ("a",): 2,
    ("quoted.key",): 7,
    ("quoted.key", "an#other"): 7,
    ("d",): 8,
    ("e",): 11,
    ("g",): 12,
    ("g", 0): 13,
    ("g", 1): 13,
    ("g", 2): 15,
    ("g", 2, 0): 15,
    ("g", 2, 1): 16,
    ("g", 3): 16,
    ("g", 3, "h"): 16,
    ("g", 3, "i"): 16,
    ("g", 3, "i", "j"): 16,
    ("g", 3, "i", "j", 0): 16,
    ("k",): 18,
    ("k", "l"): 18,
    ("k", "m n"): 18,
    ("k", "m n", "o"): 18,
    ("1234",): 19,
    ("3",): 20,
    ("3", "14"): 20,
    ("p",): 22,
    ("p", "q r"): 22,
    ("p", "q r", "s"): 23,
    ("t",): 24,
    ("t", 0): 24,
    ("t", 0, "u"): 25,
    ("t", 1): 26,
    ("t", 1, "v"): 27,
    ("t", 1, "v", "w"): 28,
    ("t", 1, "x"): 29,
    ("t", 1, "x", 0): 29,
    ("t", 1, "x", 1): 30,
    ("t", 1, "x", 1, "y"): 31,
    ("p", "z"): 32,
    ("p", "z", "-_-"): 33,
}
VALUES = (
    "1",
    "'#'",
    '"\\\\"',
    '"""\n#"\n"""',
    "'''\n\n''''",
    "[\n1,\n# ]\n2 ]",
    "[]",
    "{}",
    "{ x = [ 1,\n2 ], y.z = 'q' }",
    "1_000.5e-3",
    "07:32:00",
)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of everything in a tree that `tomllib` made."""
    if path:
        yield path
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    for name, inner in pairs:
        yield from paths(inner, (*path, name))


def test_nasty_document_has_each_key_on_its_line() -> None:
    assert key_lines(NASTY) == EXPECTED


def test_expectation_is_what_tomllib_reads() -> None:
    assert set(paths(tomllib.loads(NASTY))) == set(EXPECTED)


def test_carriage_returns_count_no_lines() -> None:
    assert key_lines(NASTY.replace("\n", "\r\n")) == EXPECTED


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing", "a = 1", "[a]", "[[a]]\n[[a]]"])
def test_small_documents_have_the_paths_that_tomllib_reads(text: str) -> None:
    assert set(key_lines(text)) == set(paths(tomllib.loads(text)))


@pytest.mark.parametrize("seed", range(50))
def test_made_documents_name_their_own_lines(seed: int) -> None:
    """Each key that is made is called by the line that it is put on."""
    draw = random.Random(seed)  # noqa: S311 - a test's draws
    text = ""
    for _ in range(40):
        line = text.count("\n") + 1
        key = draw.choice(
            [f"line{line}", f'"line{line}"', f" 'a.b#'. line{line}", f"a{line} .line{line}"]
        )
        as_table = draw.random() < 0.3
        text += f"[ t{line} . {key} ]" if as_table else f"{key} = {draw.choice(VALUES)}"
        text += draw.choice(["\n", "\n\n", " # [x] = '''\n"])
    found = {
        path: line for path, line in key_lines(text).items() if str(path[-1]).startswith("line")
    }
    assert found == {path: int(str(path[-1]).removeprefix("line")) for path in found}
    assert set(key_lines(text)) == set(paths(tomllib.loads(text)))
