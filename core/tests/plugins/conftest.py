"""A folder of installed plugins, on the path of imports."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from bad_plugins import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """It stands before all else, so that what is installed there is found first."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield Site(folder)
    files = {name: str(getattr(module, "__file__", "")) for name, module in sys.modules.items()}
    for name in [name for name, file in files.items() if file.startswith(str(folder))]:
        del sys.modules[name]
