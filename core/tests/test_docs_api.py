"""docs/api.md says what the code says, and the public API is what its version says."""

from __future__ import annotations

import importlib
import itertools
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lmkernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def scripts() -> Iterator[None]:
    """The scripts of the documentation can be imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        yield


@pytest.fixture(scope="module")
def api(scripts: None) -> ModuleType:
    del scripts
    return importlib.import_module("api_surface")


@pytest.fixture(scope="module")
def generator(scripts: None) -> ModuleType:
    del scripts
    return importlib.import_module("generate_api")


def kept(api: ModuleType, which: str) -> list[str]:
    text: str = (api.FOLDER / f"{which}.txt").read_text("utf-8")
    return text.splitlines()


def versions(api: ModuleType) -> list[tuple[int, int]]:
    names = [path.stem.split(".") for path in api.FOLDER.glob("*.txt")]
    return sorted((int(major), int(minor)) for major, minor in names)


def test_the_page_is_what_the_code_says(generator: ModuleType) -> None:
    made = generator.page()
    said = generator.PAGE.read_text("utf-8")
    assert said == made, "docs/api.md is stale; run: python docs/generate_api.py"


def test_the_surface_is_that_of_this_version(api: ModuleType) -> None:
    changed = sorted(set(kept(api, api.VERSION)) ^ set(api.surface()))
    assert changed == [], (
        f"the public API of {api.VERSION} changed: if that version is released, raise VERSION in "
        "docs/api_surface.py; then run: python docs/api_surface.py"
    )


def test_the_newest_surface_is_that_of_the_package_or_of_its_next_version(api: ModuleType) -> None:
    major, minor = versions(api)[-1]
    assert f"{major}.{minor}" == api.VERSION
    released = tuple(int(part) for part in version("lmkernel").split(".")[:2])
    assert released <= (major, minor)


def test_a_minor_version_breaks_no_promise(api: ModuleType) -> None:
    for old, new in itertools.pairwise(versions(api)):
        lines = [kept(api, f"{major}.{minor}") for major, minor in (old, new)]
        assert api.broken_promises(*lines) == []


def test_every_public_name_is_on_the_page(api: ModuleType) -> None:
    paths = {path for _, path, _ in api.named()}
    assert {f"lmkernel.{name}" for name in lmkernel.__all__} <= paths
    assert paths >= api.OLDER


def test_the_surface_is_the_same_in_every_process(api: ModuleType) -> None:
    assert [line for line in api.surface() if " at 0x" in line] == []


OLD = ["C()", "C.x: int", "m.f(a: int, *, b: int = 1) -> C", "m.g() -> int [deprecated]"]


@pytest.mark.parametrize(
    ("new", "broken"),
    [
        (OLD[:3], 0),  # what was deprecated may go
        ([*OLD[:2], f"{OLD[2]} [deprecated]"], 0),
        (["C()", "C.x: int", "C.y: int", "m.f(a: int, *, b: int = 1, c: int = 2) -> C"], 0),
        (["C()", "C.x: int", "m.f(a: int, *, b: int = 1, c: int) -> C"], 1),
        (["C()", "C.x: int", "m.f(a: int, *, b: int = 2) -> C"], 1),
        (["C()", "C.x: int", "m.f(a: int, *, c: int = 1) -> C"], 1),
        (["C()", "C.x: int", "m.f(*, a: int, b: int = 1) -> C"], 1),
        (["C()", "C.x: str", OLD[2]], 1),
        (["C()", OLD[2]], 1),
    ],
)
def test_promises(api: ModuleType, new: list[str], broken: int) -> None:
    assert len(api.broken_promises(OLD, new)) == broken
