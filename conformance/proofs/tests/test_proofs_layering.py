"""What the proofs may import, and who may import them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import lmkernel
import lmkernel_conformance
import lmkernel_proofs

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(lmkernel_proofs.__file__).parent
ORACLES = ("witnesses", "vectors")
"""Packages that may use the libraries which witness the oracle."""
ALLOWED = {"lmkernel", "lmkernel_conformance", "lmkernel_proofs", "numpy"}


def _imports(*files: Path) -> Iterator[str]:
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            if isinstance(node, ast.ImportFrom) and node.module:
                yield node.module


def _roots(*packages: str) -> set[str]:
    """The top packages that some packages of the proofs import, but for Python's own."""
    names = _imports(*(file for name in packages for file in (ROOT / name).rglob("*.py")))
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)


def test_mutants_import_no_backend_and_no_framework() -> None:
    assert _roots("mechanical", "mutants", "selftest") - ALLOWED == set()


def test_witnesses_import_mpmath_and_torch_besides() -> None:
    assert _roots(*ORACLES) - ALLOWED == {"mpmath", "torch"}


def test_every_package_is_looked_at() -> None:
    packages = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert packages == {"mechanical", "mutants", "selftest", *ORACLES}


def test_mutants_know_nothing_of_the_witnesses() -> None:
    files = [file for file in ROOT.rglob("*.py") if file.relative_to(ROOT).parts[0] not in ORACLES]
    witnesses = tuple(f"lmkernel_proofs.{name}" for name in ORACLES)
    assert [name for name in _imports(*files) if name.startswith(witnesses)] == []


def test_witnesses_share_no_line_with_the_core() -> None:
    """They may read its configurations and its random bits, and nothing that computes."""
    files = list((ROOT / "witnesses").rglob("*.py"))
    core = {name for name in _imports(*files) if name.startswith("lmkernel.")}
    assert core == {"lmkernel.config", "lmkernel.random"}


def test_torch_is_imported_by_functions_alone() -> None:
    at_top = {
        node.names[0].name.partition(".")[0]
        for file in ROOT.rglob("*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Import)
    }
    assert "torch" not in at_top


def test_nothing_of_a_vendors_wheel_imports_the_proofs() -> None:
    """But for the command, which says what to install where they are not there."""
    folders = [Path(package.__file__).parent for package in (lmkernel, lmkernel_conformance)]
    users = {
        file.name
        for folder in folders
        for file in folder.rglob("*.py")
        if any(name.startswith("lmkernel_proofs") for name in _imports(file))
    }
    assert users == {"cli.py"}
