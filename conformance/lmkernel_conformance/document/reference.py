"""``lmkernel reference``: the document's worked examples: printed, correct, computed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import columns, paint

if TYPE_CHECKING:
    import argparse

    from lmkernel.plugins import Registry
    from lmkernel_conformance.document.examples import Example

__all__ = ["Reference", "computed"]


@final
class Reference(Command):
    """One row for each example, or loss curves; the code is 1 where a value disagrees."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Which backend, and how to print."""
        parser.add_argument(
            "--backend",
            metavar="NAME",
            help="a backend, or all; by default LMKERNEL_BACKEND, else the default one",
        )
        parser.add_argument(
            "--train", action="store_true", help="the document's training programs instead"
        )
        parser.add_argument("--json", action="store_true", help="print a list of objects")

    def run(self, args: argparse.Namespace) -> int:
        """Compute and print."""
        names, missing = self._names(args.backend), {}
        if args.backend == "all":
            missing = {name: hint for name in names if (hint := self._missing(name))}
        there = [name for name in names if name not in missing]
        if args.train:
            return self._train(there, missing, as_json=args.json)
        tables = {name: computed(name, self.registry) for name in there}
        text = _json(tables, missing) if args.json else _text(tables, missing)
        print(text)  # noqa: T201 - a command's results are printed
        return int(any(not row["agrees"] for rows in tables.values() for row in rows))

    def _train(self, names: list[str], missing: dict[str, str], *, as_json: bool) -> int:
        from lmkernel_conformance.document.training_table import (
            trained,
            training_json,
            training_text,
        )

        rows, left_out = trained(names, self.registry)
        show = training_json if as_json else training_text
        print(show(rows, {**missing, **left_out}))  # noqa: T201 - a command's results are printed
        runs = [run for row in rows for run in row["backends"].values()]
        return int(not runs or any(not run["agrees"] for run in runs))

    def _names(self, asked: str | None) -> list[str]:
        from lmkernel.plugins import BackendSpec

        if asked == "all":
            return list(self.registry.all(BackendSpec))
        return [self.registry.select_backend(asked).name]

    def _missing(self, name: str) -> str:
        """The command that installs it, or empty if it is there."""
        from lmkernel.errors import MissingDependencyError

        try:
            self.registry.select_backend(name)
        except MissingDependencyError as error:
            return str(error)
        return ""


def computed(backend: str, registry: Registry | None = None) -> list[dict[str, Any]]:
    """What a backend computes for each example, in float64, and whether it agrees.

    Args:
        backend: its name.
        registry: where it is looked up.
    """
    from lmkernel.backend import load_backend
    from lmkernel_conformance.document.examples import EXAMPLES
    from lmkernel_conformance.subject import Subject

    s = Subject(backend=load_backend(backend, registry=registry), dtype="float64")
    with s.backend.scope():
        return [row for example in EXAMPLES for row in _rows(s, example)]


def _rows(s: Any, example: Example) -> list[dict[str, Any]]:
    from dataclasses import replace

    from lmkernel_conformance.cases.document import judged

    own = replace(s, case=example.id, records=[])
    return [
        {
            "id": example.id,
            "section": example.section,
            "formula": example.formula,
            "way": way,
            "printed": example.printed,
            "correct": example.correct,
            "computed": value.tolist(),
            "verdict": example.verdict,
            "note": example.note,
            "agrees": agrees,
        }
        for way, value, agrees in judged(own, example)
    ]


def _number(value: Any) -> str:
    """Seven significant digits, or an integer where it is one."""
    if value is None:
        return "–"
    if isinstance(value, list):
        return "[" + ", ".join(map(_number, value)) + "]"
    return f"{value:.7g}"


def _text(tables: dict[str, list[dict[str, Any]]], missing: dict[str, str]) -> str:
    parts = [f"{paint(name, 'bold', sys.stdout)}\n{_table(rows)}" for name, rows in tables.items()]
    return "\n\n".join([*parts, *missing.values()])


def _table(rows: list[dict[str, Any]]) -> str:
    cells = [["EXAMPLE", "SECTION", "PRINTED", "CORRECT", "COMPUTED", "VERDICT"]]
    for row in rows:
        name = f"{row['id']} ({row['way']})" if row["way"] else row["id"]
        verdict = row["verdict"] if row["agrees"] else f"DISAGREES; {row['verdict']}"
        numbers = [_number(row[column]) for column in ("printed", "correct", "computed")]
        cells.append([name, row["section"] or "–", *numbers, verdict])
    return columns(cells)


def _json(tables: dict[str, list[dict[str, Any]]], missing: dict[str, str]) -> str:
    rows = [{"backend": name, **row} for name, table in tables.items() for row in table]
    rows += [{"backend": name, "missing": hint} for name, hint in missing.items()]
    return json.dumps(rows, indent=2, ensure_ascii=False)
