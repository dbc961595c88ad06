"""Reads which cases a handwritten mutant may fail, from a file of patterns beside this module."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmkernel_proofs.mutants.mutant import Mutant

__all__ = ["read_reach", "with_reach"]

FILE = Path(__file__).with_name("reach.toml")


def read_reach(path: Path = FILE) -> dict[str, tuple[str, ...]]:
    """Read the patterns of ``level/name``, by the id of the mutant."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: tuple(patterns) for name, patterns in table.items()}


def with_reach(mutants: Iterable[Mutant]) -> tuple[Mutant, ...]:
    """The mutants with their patterns; one that the file does not name may fail nothing."""
    reach = read_reach()
    return tuple(replace(mutant, may_fail=reach.get(mutant.id, ())) for mutant in mutants)
