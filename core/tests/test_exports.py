"""Nothing is exported for nobody: each name of an ``__all__`` is named in some other file."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core" / "lmkernel"
SURFACE = ROOT / "docs" / "contract"
GENERATED = (ROOT / "docs" / "api.md", ROOT / "docs" / "reference")
SUFFIXES = (".py", ".tmpl", ".md", ".toml")
MODULES = sorted(path for path in CORE.rglob("*.py") if "__all__" in path.read_text("utf-8"))


def exports(path: Path) -> list[str]:
    """What a module says that it exports."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    raise AssertionError(f"{path} has no __all__")


def is_written_by_hand(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    generated = any(path.is_relative_to(other) for other in GENERATED)
    return path.suffix in SUFFIXES and not hidden and not generated


@functools.cache
def files_by_word() -> dict[str, set[Path]]:
    """Every word of the repository, with the files that it stands in."""
    table: dict[str, set[Path]] = {}
    for folder in ("core", "backends", "plugins", "conformance", "docs"):
        for path in filter(is_written_by_hand, (ROOT / folder).rglob("*.*")):
            for word in re.findall(r"\w+", path.read_text("utf-8")):
                table.setdefault(word, set()).add(path)
    return table


@functools.cache
def surface() -> str:
    """The surface of every version of the contract, which promises its names to others."""
    return "\n".join(path.read_text("utf-8") for path in sorted(SURFACE.glob("*.txt")))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CORE)))
def test_every_exported_name_is_used_elsewhere(path: Path) -> None:
    module = ".".join(path.relative_to(CORE.parent).with_suffix("").parts)
    unused = [
        name
        for name in exports(path)
        if not files_by_word().get(name, set()) - {path} and f"{module}.{name}" not in surface()
    ]
    assert not unused, f"{module}: nobody uses {', '.join(unused)}; leave it out of __all__"
