"""A small model that hears, written once for each file of tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from small_whisper import speech_model

from lmkernel import load

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech_model(tmp_path_factory.mktemp("speech") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return load(folder)
