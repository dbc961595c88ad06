"""Mutants that no case can kill: they compute the same, or differ where the contract is open.

Constraint: an entry names the mutant, its change and a proof. One that fits no mutant is an error,
and the self-test fails if the suite kills a mutant that is listed.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmkernel_proofs.mechanical.sites import Change

__all__ = ["Equivalent", "read_equivalents", "unmatched_entries"]

FILE = Path(__file__).with_name("equivalents.toml")


@final
@dataclass(frozen=True)
class Equivalent:
    """A mutant that computes nothing wrong.

    Args:
        id: name of the mutant.
        change: code before and after, as `Change.text` has it.
        proof: reason why that makes no difference.
    """

    id: str
    change: str
    proof: str


def read_equivalents(path: Path = FILE) -> dict[str, Equivalent]:
    """Read the file of equivalents, by id.

    Raises:
        ConfigError: an entry lacks its proof, or names a mutant that another names.
    """
    found: dict[str, Equivalent] = {}
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["equivalent"]:
        for one in _parse_entry(entry, path):
            if one.id in found:
                raise ConfigError(f"{path}: {one.id} is there twice")
            found[one.id] = one
    return found


def _parse_entry(entry: dict[str, Any], path: Path) -> list[Equivalent]:
    mutants, proof = entry.get("mutants", {}), entry.get("proof", "").strip()
    if not mutants or not proof:
        raise ConfigError(f"{path}: expected mutants and a proof in {entry}")
    return [Equivalent(name, change, proof) for name, change in mutants.items()]


def unmatched_entries(entries: Iterable[Equivalent], changes: Iterable[Change]) -> list[str]:
    """Complaints about entries that fit no mutant, a line each."""
    there = {change.id: change.text for change in changes}
    found = []
    for entry in entries:
        if entry.id not in there:
            found.append(f"{entry.id}: there is no such mutant")
        elif there[entry.id] != entry.change:
            found.append(f"{entry.id}: expected {entry.change!r}, got {there[entry.id]!r}")
    return found
