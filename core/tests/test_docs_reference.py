"""docs/reference says what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lmkernel.composed.table import COMPOSED
from lmkernel.contract.mandatory import MandatoryOps
from lmkernel.contract.optional import OptionalOps
from lmkernel.plugins import hookspecs

if TYPE_CHECKING:
    from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"
COMMAND = "python docs/generate_reference.py"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    return script("generate_reference")


def test_page_of_defects_is_what_the_programs_say() -> None:
    kept = (DOCS / "framework-defects.md").read_text("utf-8")
    made: str = script("generate_defects").page()
    assert kept == made, "docs/framework-defects.md is stale; run: python docs/generate_defects.py"


def test_page_of_broken_ports_is_what_the_corpus_says() -> None:
    kept = (DOCS / "broken-ports.md").read_text("utf-8")
    made: str = script("generate_ports").page()
    assert kept == made, "docs/broken-ports.md is stale; run: python docs/generate_ports.py"


@pytest.mark.parametrize("page", ["families.md", "hooks.md", "operations.md"])
def test_page_is_what_the_code_says(generator: ModuleType, page: str) -> None:
    made = generator.pages()[page]
    kept = (DOCS / "reference" / page).read_text("utf-8")
    assert kept == made, f"docs/reference/{page} is stale; run: {COMMAND}"


def test_no_page_is_left_over(generator: ModuleType) -> None:
    there = {path.name for path in (DOCS / "reference").iterdir()}
    assert there == set(generator.pages())


def test_every_operation_has_a_place(generator: ModuleType) -> None:
    page = generator.pages()["operations.md"]
    for name in OptionalOps.__abstractmethods__:
        assert page.count(f"#### `{name}`\n") == 1
    assert page.count("#### ") == len(OptionalOps.__abstractmethods__)
    assert page.count("*Mandatory;") == len(MandatoryOps.__abstractmethods__)
    assert page.count("composed by `lmkernel.composed.") == len(COMPOSED)


def test_every_hook_has_a_place(generator: ModuleType) -> None:
    page = generator.pages()["hooks.md"]
    hooks = [name for name in vars(hookspecs) if name.startswith("lmkernel_register_")]
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == hooks
    assert page.count("| `contract` | `str` | required | the version of the contract ") == len(
        hooks
    )
