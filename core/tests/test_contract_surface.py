"""The contract is what its version says: nothing changes without a new one."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lmkernel.contract.version import CONTRACT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[2]
USERS = ("lmkernel-llama-cpp", "lmkernel-lm-eval", "lmkernel-onnx", "lmkernel-serve")
"""They use lmkernel, as programs do, and need a minor version of it."""
OUTSIDE = sorted(
    path
    for path in (ROOT / "plugins").glob("lmkernel-*/lmkernel_*/*.py")
    if path.parents[1].name not in USERS
)
OURS = ("lmkernel", "lmkernel_conformance")
BACKENDS = sorted((ROOT / "backends").glob("lmkernel_*/*.py"))
TEMPLATES = sorted((ROOT / "core/lmkernel/scaffolds/templates").glob("*/*/*.py.tmpl"))


@pytest.fixture(scope="module")
def contract() -> ModuleType:
    place = ROOT / "docs" / "contract_surface.py"
    spec = importlib.util.spec_from_file_location("contract_surface", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _relative_path(path: Path) -> str:
    return str(path.relative_to(ROOT))


def surface_lines(contract: ModuleType, version: str) -> list[str]:
    text: str = (contract.FOLDER / f"{version}.txt").read_text("utf-8")
    return text.splitlines()


def versions(contract: ModuleType) -> list[tuple[int, int]]:
    names = [path.stem.split(".") for path in contract.FOLDER.glob("*.txt")]
    return sorted((int(major), int(minor)) for major, minor in names)


def test_the_surface_is_that_of_this_version(contract: ModuleType) -> None:
    said, is_ = surface_lines(contract, CONTRACT_VERSION), contract.surface()
    changed = sorted(set(said) ^ set(is_))
    assert changed == [], (
        f"the surface of contract {CONTRACT_VERSION} changed: raise CONTRACT_VERSION (minor for "
        "additions, major for the rest), say so in docs/contract.md, and run: "
        "python docs/contract_surface.py"
    )


def test_the_newest_version_is_the_one_that_is_spoken(contract: ModuleType) -> None:
    major, minor = versions(contract)[-1]
    assert f"{major}.{minor}" == CONTRACT_VERSION


def test_a_minor_version_breaks_no_promise(contract: ModuleType) -> None:
    known = versions(contract)
    for old, new in itertools.pairwise(known):
        if old[0] == new[0]:
            lines = [surface_lines(contract, f"{major}.{minor}") for major, minor in (old, new)]
            assert contract.broken_promises(*lines) == []


def test_every_version_has_an_entry_in_its_changelog(contract: ModuleType) -> None:
    page = (ROOT / "docs" / "contract.md").read_text("utf-8")
    for major, minor in versions(contract):
        assert f"\n### {major}.{minor}\n" in page


OLD = ["m.C(ABC)", "m.C.f(self) -> int [abstract]", "m.D()", "m.D.x: int [required]"]


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (OLD[1:], ["removed or changed: m.C(ABC)"]),
        (["m.C.g(self) -> int [abstract]", *OLD], ["asks more of m.C"]),
        (["m.D.y: int [required]", *OLD], ["asks more of m.D"]),
        ([*OLD[:-1], "m.D.x: int = 3"], []),
        ([*OLD[:-1], "m.D.x: float = 3"], ["removed or changed: m.D.x"]),
        (["m.D.y: int = 0", "m.C.g(self) -> int", "m.E()", "m.E.z: int [required]", *OLD], []),
    ],
)
def test_promises(contract: ModuleType, new: list[str], told: list[str]) -> None:
    found = contract.broken_promises(OLD, new)
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True))


def test_an_operation_with_a_composed_default_may_be_added(contract: ModuleType) -> None:
    owner = "lmkernel.contract.optional.OptionalOps"
    old = [f"{owner}(MandatoryOps)"]
    assert contract.broken_promises(old, [*old, f"{owner}.new(self) -> Array [abstract]"]) == []


def imported_names(path: Path) -> Iterator[tuple[str, str]]:
    source = re.sub(r"\$\{?(\w+)\}?", r"\1", path.read_text("utf-8"))  # a template's names
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in OURS:
            yield from ((str(node.module), alias.name) for alias in node.names)


@pytest.mark.parametrize("path", [*OUTSIDE, *BACKENDS, *TEMPLATES], ids=_relative_path)
def test_a_plugin_imports_the_contract_alone(contract: ModuleType, path: Path) -> None:
    for module, name in imported_names(path):
        assert module in contract.SURFACE, f"{path.name} imports {module}"
        own = contract.SURFACE[module]
        assert not own or name in own, f"{path.name} imports {module}.{name}"


@pytest.mark.parametrize("name", USERS)
def test_who_uses_more_than_the_contract_needs_this_minor_version(name: str) -> None:
    versions = []
    for place in (ROOT, ROOT / "plugins" / name):
        project = tomllib.loads((place / "pyproject.toml").read_text("utf-8"))["project"]
        versions.append((project["version"], project["dependencies"]))
    major, minor, _ = versions[0][0].split(".")
    assert f"lmkernel~={major}.{minor}.0" in versions[1][1]
