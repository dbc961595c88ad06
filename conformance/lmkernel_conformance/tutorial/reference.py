"""``lmkernel reference``: the tutorial's worked examples, printed, correct and computed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import paint
from lmkernel.results import columns

if TYPE_CHECKING:
    import argparse

    from lmkernel.plugins import Registry
    from lmkernel_conformance.tutorial.examples import Example

__all__ = ["Reference"]


@final
class Reference(Command):
    """Print a row for each example, or loss curves; the code is 1 where a value disagrees."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the options: the backend, the programs, the format."""
        parser.add_argument(
            "--backend",
            metavar="NAME",
            help="a backend, or all; by default LMKERNEL_BACKEND, else the default one",
        )
        parser.add_argument(
            "--train", action="store_true", help="the tutorial's training programs instead"
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
        tables = {name: compute_examples(name, self.registry) for name in there}
        text = _json(tables, missing) if args.json else _text(tables, missing)
        print(text)  # noqa: T201 - a command's results are printed
        return int(any(not row["agrees"] for rows in tables.values() for row in rows))

    def _train(self, names: list[str], missing: dict[str, str], *, as_json: bool) -> int:
        from lmkernel_conformance.tutorial.training_table import (
            train_programs,
            training_json,
            training_text,
        )

        rows, left_out = train_programs(names, self.registry)
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
        """The sentence that says how to install a backend; empty if it is installed."""
        from lmkernel.errors import MissingDependencyError

        try:
            self.registry.select_backend(name)
        except MissingDependencyError as error:
            return str(error)
        return ""


def compute_examples(backend: str, registry: Registry | None = None) -> list[dict[str, Any]]:
    """Compute each example on a backend, in float64: one row each, with whether it agrees.

    Args:
        backend: the backend's name.
        registry: the registry that it is looked up in.
    """
    from lmkernel.backend import load_backend
    from lmkernel_conformance.subject import Subject
    from lmkernel_conformance.tutorial.examples import EXAMPLES

    s = Subject(backend=load_backend(backend, registry=registry), dtype="float64")
    with s.backend.scope():
        return [row for example in EXAMPLES for row in _rows(s, example)]


def _rows(s: Any, example: Example) -> list[dict[str, Any]]:
    from dataclasses import replace

    from lmkernel_conformance.cases.tutorial import judge_each_way

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
        for way, value, agrees in judge_each_way(own, example)
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
