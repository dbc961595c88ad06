"""The errata: misprints of the document, and every change of the reference vectors.

Constraints: ``errata.toml`` is their only place; `examples.py` takes what was printed and what is
correct from here, and a file of vectors is valid only while the newest entry that names it tells
its hash. An entry that lacks something is an error that names it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILE", "Change", "Errata", "Misprint", "read_errata"]

FILE = Path(__file__).with_name("errata.toml")

Value = Any
"""A number, or a list of them."""


@final
@dataclass(frozen=True, kw_only=True)
class Misprint:
    """A printed result that does not follow from its printed inputs.

    Args:
        id: of the example.
        since: the version of the suite that first said so.
        printed: what the document prints.
        correct: what the formula gives.
        reason: in a line.
        derivation: in full.
    """

    id: str
    since: str
    printed: Value
    correct: Value
    reason: str
    derivation: str


@final
@dataclass(frozen=True, kw_only=True)
class Change:
    """A new state of the reference vectors.

    Args:
        since: the version of the suite that has them.
        reason: why they changed.
        files: SHA-256 of each file that did, by name.
    """

    since: str
    reason: str
    files: Mapping[str, str]


@final
@dataclass(frozen=True)
class Errata:
    """The file, read: misprints by id, changes oldest first."""

    misprints: Mapping[str, Misprint]
    changes: tuple[Change, ...]

    def told(self, name: str) -> str:
        """The hash of a file of vectors, as its newest entry tells it; empty if none does."""
        told = (change.files[name] for change in reversed(self.changes) if name in change.files)
        return next(told, "")

    def check(self, name: str, sha256: str) -> None:
        """Raise `CheckpointError` unless the hash is told."""
        if sha256 != (told := self.told(name)):
            raise CheckpointError(
                f"{name}: expected sha256 {told or 'of an entry'}, as {FILE.name} tells it, got "
                f"{sha256}: a change of reference vectors takes an entry [[vectors]] that says why"
            )


def read_errata(path: Path = FILE) -> Errata:
    """Read and check the file.

    Raises:
        CheckpointError: it is no TOML, has an unknown table, or an entry lacks or adds a member.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: expected TOML: {error}") from error
    if unknown := set(document) - {"misprint", "vectors"}:
        raise CheckpointError(
            f"{path}: expected [[misprint]] and [[vectors]], got {', '.join(sorted(unknown))}"
        )
    misprints = _entries(path, Misprint, document.get("misprint", []))
    changes = _entries(path, Change, document.get("vectors", []))
    table = {misprint.id: misprint for misprint in misprints}
    if len(table) < len(misprints):
        raise CheckpointError(f"{path}: expected each id once, got {[m.id for m in misprints]}")
    return Errata(MappingProxyType(table), tuple(changes))


def _entries(path: Path, kind: Any, entries: list[Mapping[str, Any]]) -> list[Any]:
    expected = {field.name for field in fields(kind)}
    for number, entry in enumerate(entries, 1):
        if set(entry) != expected:
            raise CheckpointError(
                f"{path}, {kind.__name__.lower()} {number}: "
                f"expected {', '.join(sorted(expected))}; "
                f"got {', '.join(sorted(entry))}"
            )
    return [kind(**entry) for entry in entries]
