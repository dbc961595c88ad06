"""The models that are known by name, and those that are on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import require_known
from lmkernel.errors import UnknownNameError
from lmkernel.plugins import SourceSpec, default_registry
from lmkernel.results import Result, human_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


__all__ = ["ModelList", "models"]


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class ModelList(Result):
    """A row for each model; iterating gives them as objects of plain values.

    Args:
        models: each with its ``"name"``, ``"source"``, ``"pulled"``, ``"size"`` in bytes,
            ``"path"`` and ``"description"``.
        prefixes: the beginnings of further names, such as ``"hf:"``.
    """

    models: tuple[dict[str, Any], ...]
    prefixes: tuple[str, ...]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.models)

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The model of a name.

        Raises:
            UnknownNameError: there is none.
        """
        found = {row["name"]: row for row in self.models}
        require_known("model", name, found)
        return found[name]

    def __len__(self) -> int:
        return len(self.models)

    def rows(self) -> list[list[str]]:
        """Its table."""
        rows = [["MODEL", "SOURCE", "ON DISK", "DESCRIPTION"]]
        for row in self.models:
            size = human_size(row["size"]) if row["pulled"] else "not pulled"
            rows.append([row["name"], row["source"], size, row["description"]])
        return rows

    def notes(self) -> list[str]:
        """How to pull models that are not listed."""
        return [f"Besides: lmkernel pull {prefix}NAME" for prefix in self.prefixes]

    def json(self) -> list[dict[str, Any]]:
        """A list of objects."""
        return [dict(row) for row in self.models]

    def __repr__(self) -> str:
        return f"ModelList({', '.join(row['name'] for row in self.models)})"


def models() -> ModelList:
    """List the models that a source names or that were pulled."""
    from lmkernel.sources import known_models
    from lmkernel.sources.store import pulled_models

    known, there = known_models(), pulled_models()
    named = [_row(name, *served, there.get(name)) for name, served in known.items()]
    others = [_row(n, _source(n), "", f) for n, f in there.items() if n not in known]
    prefixes = (spec.prefix for spec in default_registry().all(SourceSpec).values())
    return ModelList(models=(*named, *others), prefixes=tuple(filter(None, prefixes)))


def _row(name: str, source: str, description: str, folder: Path | None) -> dict[str, Any]:
    from lmkernel.sources.store import size_of

    return {
        "name": name,
        "source": source,
        "pulled": folder is not None,
        "size": size_of(folder) if folder else None,
        "path": str(folder) if folder else None,
        "description": description,
    }


def _source(name: str) -> str:
    """The source of a pulled model; its plugin may be gone by now."""
    from lmkernel.sources.resolve import serving

    try:
        return serving(name).name
    except UnknownNameError:
        return "unknown"
