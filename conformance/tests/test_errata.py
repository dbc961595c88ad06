"""The errata file: its content, the tutorial's table that reads it, and the errors it raises."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from lmkernel.errors import CheckpointError
from lmkernel_conformance.tutorial.errata import FILE, read_errata
from lmkernel_conformance.tutorial.examples import errata, lookup

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = {
    "id": "a",
    "since": "0.1.0",
    "printed": 1,
    "correct": 2,
    "reason": "it is two",
    "derivation": "1 + 1 = 2",
}
HEX = "0" * 64


def _toml(**entry: object) -> str:
    return "[[misprint]]\n" + "\n".join(f"{name} = {value!r}" for name, value in entry.items())


def test_the_misprints_come_first() -> None:
    names = list(read_errata().misprints)
    assert names == ["embedding", "network.output", "loss.mse", "loss.ce"]
    assert list(tomllib.loads(FILE.read_text("utf-8"))) == ["misprint", "vectors"]


def test_table_of_the_tutorial_reads_them_from_here() -> None:
    misprints = read_errata().misprints
    assert [example.id for example in errata()] == list(misprints)
    for name, misprint in misprints.items():
        example = lookup(name)
        assert example.printed == misprint.printed
        assert example.correct == misprint.correct
        assert example.verdict == f"erratum: {misprint.reason}"
        assert misprint.printed != misprint.correct


def test_every_change_says_why() -> None:
    changes = read_errata().changes
    assert changes
    for change in changes:
        assert change.reason
        assert change.since
        assert all(len(sha256) == 64 for sha256 in change.files.values())


def test_newest_entry_counts(tmp_path: Path) -> None:
    path = tmp_path / "errata.toml"
    entry = '[[vectors]]\nsince = "0.1.0"\nreason = "r"\nfiles = {{ "a.json" = "{}" }}\n'
    path.write_text(entry.format(HEX) + entry.format("1" * 64), "utf-8")
    found = read_errata(path)
    assert found.hash_of("a.json") == "1" * 64
    assert found.hash_of("b.json") == ""
    found.check("a.json", "1" * 64)
    with pytest.raises(CheckpointError, match=f"^a.json: expected sha256 1+, .* got {HEX}"):
        found.check("a.json", HEX)
    with pytest.raises(CheckpointError, match=r"^b.json: expected sha256 of an entry"):
        found.check("b.json", HEX)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[misprint]", "expected TOML"),
        ("[[misprints]]", r"expected \[\[misprint\]\] and \[\[vectors\]\], got misprints"),
        (_toml(id="a"), "misprint 1: expected correct, derivation, id, .*; got id"),
        (_toml(**ENTRY, who="me"), "misprint 1: expected .*; got .*who"),
        (_toml(**ENTRY) + "\n" + _toml(**ENTRY), r"expected each id once, got \['a', 'a'\]"),
        ('[[vectors]]\nsince = "1"', "change 1: expected files, reason, since; got since"),
    ],
)
def test_malformed_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "errata.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(CheckpointError, match=message):
        read_errata(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none.toml: expected TOML"):
        read_errata(tmp_path / "none.toml")
