"""Backends never import each other; what they share imports none of them, and Keras when asked."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = "lmkernel_keras"
PACKAGES = sorted(path.parent.name for path in ROOT.glob("lmkernel_*/__init__.py"))


def imported_packages(package: str) -> set[str]:
    names = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_backends_do_not_import_each_other(package: str) -> None:
    others = imported_packages(package) & set(PACKAGES) - {package}
    assert others <= (set() if package == SHARED else {SHARED})


def test_what_is_shared_imports_keras_when_it_is_asked() -> None:
    code = f"import sys, {SHARED}; print('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
