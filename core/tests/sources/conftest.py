from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of pulled models of a home that is empty and of this test alone."""
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A further try comes at once."""
    monkeypatch.setattr("lmkernel.sources.transfer.PAUSES", (0.0, 0.0, 0.0))
