"""``lmkernel models``: what is known by name, and what is on this machine."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import columns, human_size, paint

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from lmkernel.plugins import Registry

__all__ = ["Models"]


@final
class Models(Command):
    """One row for each model that a source names or that was pulled."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """How to print."""
        parser.add_argument("--json", action="store_true", help="print a list of objects")

    def run(self, args: argparse.Namespace) -> int:
        """Print the list."""
        rows = _rows(self.registry)
        print(json.dumps(rows, indent=2) if args.json else _text(rows, self.registry))
        return 0


def _rows(registry: Registry) -> list[dict[str, Any]]:
    from lmkernel.sources import known_models
    from lmkernel.sources.store import pulled

    known, there = known_models(registry), pulled()
    named = [_row(name, *served, there.get(name)) for name, served in known.items()]
    others = [_row(n, _source(n, registry), "", f) for n, f in there.items() if n not in known]
    return named + others


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


def _source(name: str, registry: Registry) -> str:
    """The source of a pulled model; its plugin may be gone by now."""
    from lmkernel.errors import UnknownNameError
    from lmkernel.sources.resolve import serving

    try:
        return serving(name, registry).name
    except UnknownNameError:
        return "unknown"


def _text(rows: list[dict[str, Any]], registry: Registry) -> str:
    from lmkernel.plugins import SourceSpec

    cells = [["MODEL", "SOURCE", "ON DISK", "DESCRIPTION"]]
    for row in rows:
        size = human_size(row["size"]) if row["pulled"] else "not pulled"
        cells.append([row["name"], row["source"], size, row["description"]])
    header, *lines = columns(cells).split("\n")
    prefixes = [spec.prefix for spec in registry.all(SourceSpec).values() if spec.prefix]
    notes = [f"Besides: lmkernel pull {prefix}NAME" for prefix in prefixes]
    return "\n".join([paint(header, "bold", sys.stdout), *lines, *notes])
