"""The errata: the tutorial's misprints, and every change of the reference vectors.

Constraints: they are kept in ``errata.toml`` and nowhere else. `examples.py` reads the printed and
the correct values from it, and a file of vectors is valid only if its hash is in the newest entry
that names it. An incomplete entry is an error that names what is missing.
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
        id: the id of the example.
        since: the version of the suite that first reported it.
        printed: the value that the tutorial prints.
        correct: the value that its formula gives.
        reason: the reason in a line.
        derivation: the derivation in full.
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
    """A change of the reference vectors.

    Args:
        since: the version of the suite that first has it.
        reason: the reason for the change.
        files: the SHA-256 of each file that changed, by name.
    """

    since: str
    reason: str
    files: Mapping[str, str]


@final
@dataclass(frozen=True)
class Errata:
    """The content of the file.

    Args:
        misprints: the misprints, by the id of their example.
        changes: the changes of vectors, oldest first.
    """

    misprints: Mapping[str, Misprint]
    changes: tuple[Change, ...]

    def hash_of(self, name: str) -> str:
        """The hash of a file of vectors in the newest entry that names it; empty if none does."""
        hashes = (change.files[name] for change in reversed(self.changes) if name in change.files)
        return next(hashes, "")

    def check(self, name: str, sha256: str) -> None:
        """Raise `CheckpointError` unless a file of vectors has the hash in the errata."""
        if sha256 != (expected := self.hash_of(name)):
            raise CheckpointError(
                f"{name}: expected sha256 {expected or 'of an entry'}, as {FILE.name} tells it, "
                f"got {sha256}: a change of reference vectors takes an entry [[vectors]] that says "
                "why"
            )


def read_errata(path: Path = FILE) -> Errata:
    """Read and check the file.

    Raises:
        CheckpointError: the file is not TOML, has an unknown table, or an entry lacks a member or
            has an unknown one.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: expected TOML: {error}") from error
    if unknown := set(tables) - {"misprint", "vectors"}:
        raise CheckpointError(
            f"{path}: expected [[misprint]] and [[vectors]], got {', '.join(sorted(unknown))}"
        )
    misprints = _entries(path, Misprint, tables.get("misprint", []))
    changes = _entries(path, Change, tables.get("vectors", []))
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
