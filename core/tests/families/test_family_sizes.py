"""A family is a table, names and fixed points: what is said besides stays small."""

from __future__ import annotations

import ast
import statistics
from importlib import util
from pathlib import Path

from lmkernel.families.plugin import FAMILIES

MOST = 60
"""Lines of the median file, imports included, beyond its tables and docstrings."""


def lines_beyond_tables(source: str) -> int:
    """The lines of code that are neither a table of a module or a class nor a docstring."""
    left_out: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef)):
            parts: list[ast.stmt] = [
                part for part in node.body if isinstance(part, (ast.Assign, ast.AnnAssign))
            ]
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts = [node]
        else:
            continue
        for part in parts:
            left_out |= {*range(part.lineno, (part.end_lineno or part.lineno) + 1)}
    lines = enumerate(source.splitlines(), 1)
    return sum(1 for number, line in lines if line.strip() and number not in left_out)


def test_the_median_family_is_small() -> None:
    modules = sorted({place.partition(":")[0] for place in FAMILIES.values()})
    found = [spec for name in modules if (spec := util.find_spec(name)) is not None]
    sizes = [lines_beyond_tables(Path(str(spec.origin)).read_text("utf-8")) for spec in found]
    assert len(sizes) == len(modules)
    assert statistics.median(sizes) <= MOST, dict(zip(modules, sizes, strict=True))


def test_what_is_counted() -> None:
    source = '"""A family."""\nX = {\n    1: 2,\n}\n\n\ndef f():\n    """One."""\n    return 3\n'
    assert lines_beyond_tables(source) == len(["def f():", "return 3"])
