"""The manifest matches the cases, and says what must run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lmkernel_conformance.cases import CASES, LEVELS, items
from lmkernel_conformance.manifest import FILE, generate, main, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

BOTH = ("float32", "float64")


def test_the_file_is_that_of_the_cases() -> None:
    hint = "the cases have changed; run: python -m lmkernel_conformance.manifest"
    assert json.loads(FILE.read_text(encoding="utf-8")) == generate(), hint


def test_what_is_written_is_read(tmp_path: Path) -> None:
    main(tmp_path / "manifest.json")
    assert read_manifest(tmp_path / "manifest.json").hash == read_manifest().hash


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "manifest.json"
    place.write_text(FILE.read_text(encoding="utf-8").replace("softmax", "softmin"), "utf-8")
    with pytest.raises(ValueError, match="does not fit its hash; run: python -m"):
        read_manifest(place)


@pytest.mark.parametrize("profile", ["inference", "training", "full"])
@pytest.mark.parametrize("declared", [BOTH, (*BOTH, "bfloat16")])
def test_it_asks_for_what_is_collected(profile: str, declared: tuple[str, ...]) -> None:
    chosen = items(CASES.values(), profile=profile, levels=LEVELS, declared=declared)
    wanted = {(f"{item.case.level}/{item.case.name}", item.dtype) for item in chosen}
    found = read_manifest().required_keys(profile, declared)
    assert {(key.case, key.dtype) for key in found} == wanted
    assert len(found) == len(wanted)


def test_the_smoke_run_has_cases_of_every_level() -> None:
    keys = read_manifest().smoke_keys("full")
    assert {key.case.partition("/")[0] for key in keys} == set(LEVELS)
    assert 40 < len(keys) < 120


@pytest.mark.parametrize(
    ("case", "essential"),
    [
        ("operations/attention.causal", True),
        ("operations/dropout", True),
        ("operations/random_uniform", True),
        ("document/random.streams", True),
        ("gradients/softmax.gradient", True),
        ("models/llama.gradient", True),
        ("checkpoints/round_trip", True),
        ("operations/softmax", False),
        ("operations/there_is_no_such_case", True),
    ],
)
def test_what_is_essential(case: str, essential: bool) -> None:
    assert read_manifest().essential(case) is essential
