"""The home is chosen by LMKERNEL_HOME, else it is the platform's cache folder."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from lmkernel.errors import PullError
from lmkernel.sources.home import home, models_home, writable_folder


def test_variable_chooses_the_home(models: Path) -> None:
    assert home() == models.parent
    assert models_home() == models


def test_default_is_the_platforms_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMKERNEL_HOME", raising=False)
    assert home() == platformdirs.user_cache_path("lmkernel", appauthor=False)


def test_tilde_and_relative_paths_become_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LMKERNEL_HOME", "~/kept")
    assert home() == tmp_path / "kept"
    monkeypatch.setenv("LMKERNEL_HOME", "kept")
    assert home() == Path.cwd() / "kept"


def test_asking_creates_nothing(models: Path) -> None:
    models_home()
    assert not models.parent.exists()


def test_writable_home_is_created_and_left_empty(models: Path) -> None:
    assert writable_folder("models") == models
    assert list(models.iterdir()) == []


def test_home_below_a_file_names_folder_and_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(PullError, match=r"file/home/models: Not a directory; set LMKERNEL_HOME"):
        writable_folder("models")
