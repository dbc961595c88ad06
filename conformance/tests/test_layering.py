"""The imports that the suite is allowed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import lmkernel_conformance

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(lmkernel_conformance.__file__).parent


def _imports(folder: Path, *, without: str = "") -> Iterator[str]:
    for file in folder.rglob("*.py"):
        if without and without in file.relative_to(folder).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            if isinstance(node, ast.ImportFrom) and node.module:
                yield node.module


def test_suite_imports_no_backend_and_no_framework() -> None:
    roots = {name.partition(".")[0] for name in _imports(ROOT, without="cli.py")}
    allowed = {"hypothesis", "lmkernel", "lmkernel_conformance", "numpy", "pytest"}
    assert roots - allowed - set(sys.stdlib_module_names) == set()


def test_only_the_command_knows_of_the_proofs() -> None:
    users = {
        file.relative_to(ROOT).parts[0]
        for file in ROOT.rglob("*.py")
        if "lmkernel_proofs" in file.read_text("utf-8")
    }
    assert users == {"cli.py"}


def test_oracle_imports_nothing_of_the_core() -> None:
    names = {n for n in _imports(ROOT / "oracle") if n.startswith("lmkernel")}
    assert {n for n in names if not n.startswith("lmkernel_conformance.oracle")} == set()


def test_pytest_plugin_is_light() -> None:
    code = (
        "import sys, lmkernel_conformance.pytest_plugin, lmkernel_conformance.plugin as p;"
        "p.lmkernel_register_commands();"
        "print(sorted({'numpy', 'torch', 'jax', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
