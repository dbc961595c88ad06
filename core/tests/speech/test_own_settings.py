"""What a speech model's own files ask for: followed, or named in a warning."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from made_sounds import vowels
from small_whisper import speech_model

import lmkernel
from lmkernel import LanguageModel, Sound, load
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

PLAIN: dict[str, Any] = {"temperatures": (0.0,), "max_new_tokens": 8, "progress": False}
LONG = Sound(np.resize(vowels(1.3), 41_000).astype(np.float32), 16000)


def with_own_settings(folder: Path, **changes: object) -> LanguageModel:
    """The model with other settings of generation in its files."""
    file = folder / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return load(folder)


def test_the_language_of_a_models_files_is_not_guessed(tmp_path: Path) -> None:
    model = with_own_settings(speech_model(tmp_path / "model"), language="<|fr|>")
    assert lmkernel.transcribe(model, LONG, **PLAIN).language == "fr"
    assert lmkernel.transcribe(model, LONG, language="de", **PLAIN).language == "de"
    wrong = with_own_settings(tmp_path / "model", language=3)
    with pytest.raises(CheckpointError, match="language: expected a text, got 3"):
        lmkernel.transcribe(wrong, LONG, **PLAIN)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_beams": 4},
        {"no_repeat_ngram_size": 2},
        {"repetition_penalty": 1.5},
        {"max_length": 7},
        {"max_new_tokens": 3},
        {"forced_eos_token_id": 5},
        {"condition_on_prev_tokens": True},
        {"task": "translate"},
    ],
    ids=str,
)
def test_settings_that_are_not_followed_are_said(changes: dict[str, Any], tmp_path: Path) -> None:
    model = with_own_settings(speech_model(tmp_path / "model"), **changes)
    [said] = [f"{key}={value!r}".replace("'", "") for key, value in changes.items()]
    with pytest.warns(UserWarning, match=r"generation_config\.json: not used: ") as warned:
        lmkernel.transcribe(model, LONG, **PLAIN)
    assert said in str(warned[0].message).replace("'", "")


def test_usual_settings_are_followed_without_a_word(tmp_path: Path) -> None:
    usual = {"max_length": 448, "return_timestamps": False, "task": "transcribe", "num_beams": 1}
    older = {"forced_decoder_ids": [[1, None], [2, 270]], "alignment_heads": [[2, 0]]}
    model = with_own_settings(speech_model(tmp_path / "model"), **usual, **older)
    assert lmkernel.transcribe(model, LONG, **PLAIN).segments
