"""Sounds and texts as batches: padding, digests, what is measured, and rows that are refused."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from made_sounds import vowels, wave_bytes
from small_waves import LETTERS, RATE, wave_model

import lmkernel
from lmkernel.errors import ConfigError, InputError
from lmkernel.families.family import find_family
from lmkernel.origin import open_origin
from lmkernel.speech import sound_files
from lmkernel.speech.waves import WaveSettings
from lmkernel.training.data import transcripts
from lmkernel.training.data.readers import open_rows
from lmkernel.training.data.transcripts import SpokenExample, SpokenRows, spoken_examples

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.tokenizers import Tokenizer


def written(folder: Path, rows: list[tuple[float, str]]) -> Path:
    """Sounds of so many seconds, with their texts, and the file that names them."""
    folder.mkdir(exist_ok=True)
    lines = []
    for number, (seconds, text) in enumerate(rows):
        name = f"{number}.wav"
        samples = vowels(seconds, 100 + 10 * number, RATE).astype(np.float32)
        (folder / name).write_bytes(wave_bytes(samples[:, None], RATE))
        lines.append(json.dumps({"sound": name, "text": text}))
    (folder / "rows.jsonl").write_text("\n".join(lines))
    return folder / "rows.jsonl"


def made(folder: Path) -> tuple[Tokenizer, WaveSettings]:
    origin = open_origin(wave_model(folder))
    return origin.tokenizer, WaveSettings.of(origin)


def examples(file: Path, tokenizer: Tokenizer, hearing: WaveSettings) -> list[SpokenExample]:
    return [*spoken_examples(open_rows(file), tokenizer, hearing, folder=str(file))]


def batches(found: list[SpokenExample], tokenizer: Tokenizer, hearing: WaveSettings) -> SpokenRows:
    return SpokenRows(found, tokenizer, hearing, batch=2, shuffle=False)


def test_rows_are_padded_and_normal(tmp_path: Path) -> None:
    tokenizer, hearing = made(tmp_path / "model")
    file = written(tmp_path / "data", [(0.5, "ab a"), (0.3, "c")])
    rows = batches(examples(file, tokenizer, hearing), tokenizer, hearing)
    batch = rows.at(0)
    assert batch["inputs"].shape == (2, RATE // 2, 1)
    assert batch["targets"].tolist() == [[3, 4, 2, 3, *[-1] * 4], [5, *[-1] * 7]]
    real = batch["positions"] >= 0
    assert real.sum(1).tolist() == [RATE // 2, 3 * RATE // 10]
    assert not batch["inputs"][~real].any()
    for line, there in zip(batch["inputs"], real, strict=True):
        assert line[there].mean() == pytest.approx(0, abs=1e-5)
        assert line[there].std() == pytest.approx(1, abs=1e-3)
    fewer = batches(examples(file, tokenizer, hearing)[:1], tokenizer, hearing)
    assert rows.digest != fewer.digest


def test_a_word_error_rate_is_that_of_the_best_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Library:
        @staticmethod
        def wer(references: list[str], texts: list[str]) -> float:
            asked.append((references, texts))
            return 0.25

    monkeypatch.setitem(sys.modules, "jiwer", Library)  # type: ignore[arg-type]  # as a module
    monkeypatch.setattr(transcripts, "find_spec", lambda name: name == "jiwer" or None)
    tokenizer, hearing = made(tmp_path / "model")
    file = written(tmp_path / "data", [(0.5, "ab a"), (0.3, "c")])
    rows = batches(examples(file, tokenizer, hearing), tokenizer, hearing)
    said = np.eye(len(LETTERS))[[[3, 3, 4, 2, 0, 3], [0, 4, 0, 0, 0, 0]]]
    assert rows.scores([(rows.at(0), said)]) == {"wer": 25.0}
    assert asked == [(["ab a", "c"], ["ab a", "b"])]
    monkeypatch.setattr(transcripts, "find_spec", lambda _: None)
    assert rows.scores([(rows.at(0), said)]) == {}


@pytest.mark.parametrize(
    ("seconds", "text", "message"),
    [
        (0.1, "abcdefghab", r"line 1: expected a sound of at least 10 steps.*got 4"),
        (0.1, "aaa", r"at least 5 steps, which its 3 letters need, got 4"),
        (0.1, "", "line 1: expected what is spoken in the column 'text'"),
        (31.0, "a", "at most 30 s, got 31.0 s"),
    ],
)
def test_rows_that_cannot_be_learnt_are_named(
    seconds: float, text: str, message: str, tmp_path: Path
) -> None:
    tokenizer, hearing = made(tmp_path / "model")
    with pytest.raises(InputError, match=message):
        examples(written(tmp_path / "data", [(seconds, text)]), tokenizer, hearing)


def test_a_long_sound_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer, hearing = made(tmp_path / "model")
    file = written(tmp_path / "data", [(31.0, "a")])
    monkeypatch.setattr(sound_files, "_one_channel", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match="at most 30 s"):
        examples(file, tokenizer, hearing)


def test_a_sound_that_is_none_is_named(tmp_path: Path) -> None:
    tokenizer, hearing = made(tmp_path / "model")
    file = written(tmp_path / "data", [(0.2, "a")])
    (tmp_path / "data" / "0.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"line 1: .*0\.wav"):
        examples(file, tokenizer, hearing)


def test_a_letter_that_the_vocabulary_lacks_is_refused_and_not_learnt(tmp_path: Path) -> None:
    tokenizer, hearing = made(tmp_path / "model")
    assert tokenizer.unknown is not None
    file = written(tmp_path / "data", [(0.5, "ab a"), (0.5, "ab?a")])
    with pytest.raises(InputError, match=r"line 2: expected letters of the vocabulary, got '\?'"):
        examples(file, tokenizer, hearing)


def test_a_model_is_trained_and_what_it_learnt_is_heard(tmp_path: Path) -> None:
    folder = wave_model(tmp_path / "model")
    file = written(tmp_path / "data", [(0.5, "ab a"), (0.4, "c"), (0.3, "a"), (0.5, "b b")] * 2)
    options: dict[str, Any] = {
        "objective": "transcripts",
        "steps": 12,
        "batch": 4,
        "learning_rate": 5e-3,
        "progress": False,
    }
    asked: dict[str, Any] = {"objective": "transcripts", "progress": False}
    before = lmkernel.evaluate(folder, file, **asked)["loss"]
    run = lmkernel.finetune(folder, file, out=tmp_path / "run", **options)
    assert lmkernel.evaluate(run.model, file, **asked)["loss"] < before
    assert isinstance(lmkernel.transcribe(run.model, tmp_path / "data" / "0.wav").text, str)


def test_a_model_that_hears_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="transcripts is for wav2vec2, hubert"):
        find_family("gpt2", "a test", "transcripts")
