"""A home, a text and a finished run for the commands that train."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from training_files import done, pretraining, story

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return story(tmp_path / "story.txt")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a run would be."""
    return tmp_path / "run"


@pytest.fixture
def run(text: Path, out: Path) -> Path:
    """A finished run."""
    done(*pretraining(text, out))
    return out
