"""What a model spells: the best path, its words and times, long sounds, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import numpy as np
import pytest
from made_sounds import vowels, wave_bytes
from small_waves import LETTERS, RATE, wave_model

import lmkernel
from lmkernel import Sound, load
from lmkernel.cli.main import main
from lmkernel.errors import CheckpointError, InputError
from lmkernel.speech import spelling
from lmkernel.speech.options import SpeechOptions
from lmkernel.speech.spelling import Speller, Spelt, best_path, segments_of_words, spelt_words
from lmkernel.speech.verbs import hears
from lmkernel.speech.waves import WaveSettings
from lmkernel.speech.words import Word
from lmkernel.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

SAID = [0, 3, 3, 0, 3, 2, 2, 0, 5, 0]
"""Blank, a, a, blank, a, |, |, blank, c, blank."""


@pytest.fixture(scope="module")
def speller(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load(wave_model(tmp_path_factory.mktemp("spelling") / "model"))


def scores(tokens: list[int]) -> np.ndarray:
    """Of which each step's largest is that of a token."""
    return np.eye(len(LETTERS))[tokens]


def test_repeated_letters_are_said_once_and_blanks_not_at_all() -> None:
    found = [Spelt(3, 1, 3), Spelt(3, 4, 5), Spelt(2, 5, 7), Spelt(5, 8, 9)]
    assert best_path(scores(SAID), 0) == found
    assert best_path(scores([0, 0]), 0) == []


def test_what_is_no_letter_is_written_as_transformers_writes_it(tmp_path: Path) -> None:
    """The text is that of `Wav2Vec2CTCTokenizer.decode`, 5.24."""
    numbers = {x: i for i, x in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", "E", "T", "A"])}
    (tmp_path / "vocab.json").write_text(json.dumps(numbers))
    model = Mock(tokenizer=load_tokenizer(tmp_path))
    model.config.head.blank = 0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(WaveSettings, "of", Mock())
        decode = Speller(model, SpeechOptions())._decode
    steps = [0, 5, 5, 0, 5, 3, 3, 4, 4, 6, 1, 7, 2, 0, 9, 4, 3]
    found = spelt_words(best_path(np.eye(10)[steps], 0), 4, decode, 0.5)
    assert "".join(word.text for word, _ in found) == " EE<unk> T<s>A</s><unk> <unk>"


def test_all_sounds_share_what_a_model_is_compiled_to(
    speller: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Mock(wraps=speller.model.compiled_forward)
    monkeypatch.setattr(speller.model, "compiled_forward", counted)
    for _ in range(2):
        Speller(speller, SpeechOptions()).logits(np.zeros(RATE, np.float32))
    assert counted.call_count == 2


def test_words_have_the_times_of_their_letters(speller: LanguageModel) -> None:
    found = spelt_words(best_path(scores(SAID), 0), 2, speller.tokenizer.decode, 0.5)
    assert [word for word, _ in found] == [Word(0.5, 2.5, " aa"), Word(4.0, 4.5, " c")]
    assert [tokens for _, tokens in found] == [(3, 3), (5,)]


def test_pauses_part_segments() -> None:
    words = [Word(0, 1, " a"), Word(1.2, 2, " b"), Word(2.6, 3, " c")]
    found = [*segments_of_words(((w, (3,)) for w in words), 0.6, words=True)]
    assert [(s.begin, s.end, s.text) for s in found] == [(0, 2, " a b"), (2.6, 3, " c")]
    assert found[0].words == tuple(words[:2])
    [whole] = segments_of_words(((w, (3,)) for w in words), float("inf"), words=False)
    assert (whole.text, whole.words, whole.tokens) == (" a b c", (), (3, 3, 3))


class _Scripted:
    """Logits of a model that says a word at given seconds of a sound, wherever a window begins."""

    def __init__(self, sound: Sound, times: list[float], step: float) -> None:
        self.samples, self.times, self.step = sound.samples, times, step
        self.windows: list[tuple[float, float]] = []

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        # samples count up, so that the first one says where a window begins
        first, length = float(samples[0]) / RATE, len(samples) / RATE
        self.windows.append((first, length))
        tokens = [0] * int(length / self.step)
        for time in self.times:
            for token, late in ((2, 0.0), (4, 0.1), (5, 0.3)):
                at = round((time + late - first) / self.step)
                if 0 <= at < len(tokens):
                    tokens[at] = token
        return scores(tokens)


def test_words_at_the_end_of_a_window_are_heard_whole(
    speller: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the third word begins in one window and ends in the next
    sound = Sound(np.arange(45 * RATE, dtype=np.float32), RATE)
    times = [2.0, 9.0, 19.8, 30.0, 44.0]
    listening = Speller(speller, SpeechOptions())
    scripted = _Scripted(sound, times, listening.settings.step)
    monkeypatch.setattr(Speller, "logits", lambda _, x: scripted(x))
    monkeypatch.setattr(type(listening.settings), "blocks", lambda _, s: s.blocks(RATE))
    found = [*listening.segments(sound)]
    assert [s.text for s in found] == [" bc"] * 5
    np.testing.assert_allclose([s.begin for s in found], np.array(times) + 0.1, atol=0.03)
    assert len(scripted.windows) == 3
    assert all(length <= spelling._SECONDS for _, length in scripted.windows)


def test_a_window_holds_no_more_samples_at_a_rate_that_no_sound_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rate = wave_model(tmp_path / "model"), 2**20
    (folder / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": rate}))
    listening = Speller(load(folder), SpeechOptions())
    windows: list[int] = []
    monkeypatch.setattr(Speller, "logits", lambda _, x: windows.append(len(x)) or scores([0] * 4))
    assert [*listening.words(Sound(np.zeros(2 * rate, np.float32), rate))] == []
    assert max(windows) == spelling._MOST_SAMPLES
    assert sum(windows) == 2 * rate


def test_a_sound_of_any_length_is_spelt(speller: LanguageModel) -> None:
    for seconds in (0.01, 0.05, 1.3, 41.0):
        samples = np.resize(vowels(1.3, rate=RATE), round(seconds * RATE)).astype(np.float32)
        found = lmkernel.transcribe(speller, Sound(samples, RATE), words=True, progress=False)
        assert found.language == ""
        assert all(s.words and s.begin <= s.end <= seconds for s in found.segments)
        assert set(found.text) <= {*"abcdefgh", " "}


def test_padding_to_a_second_changes_no_score(speller: LanguageModel) -> None:
    samples = np.random.default_rng(3).normal(size=RATE + 77).astype(np.float32)
    listening = Speller(speller, SpeechOptions())
    ops = speller.backend.ops
    with speller.backend:
        given = ops.asarray(samples[None, :, None], "float32")
        exact = speller.model.forward(speller.params, given)
        host = ops.to_numpy(exact)[0]
    # both are products in float32, of rows that lie elsewhere in a batch
    np.testing.assert_allclose(listening.logits(samples), host, atol=1e-5)


def test_a_norm_over_time_hears_a_sound_as_it_is(tmp_path: Path) -> None:
    model = load(wave_model(tmp_path / "model", feat_extract_norm="group"))
    samples = np.random.default_rng(3).normal(size=RATE + 77).astype(np.float32)
    ops = model.backend.ops
    with model.backend:
        exact = model.model.forward(model.params, ops.asarray(samples[None, :, None], "float32"))
        host = ops.to_numpy(exact)[0]
    got = Speller(model, SpeechOptions()).logits(samples)
    np.testing.assert_array_equal(got, host)


def test_the_command_writes_subtitles_and_words(
    speller: LanguageModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(wave_bytes(vowels(2.0, rate=RATE).astype(np.float32)[:, None], RATE))
    folder = str(speller.files.path)
    assert main(["transcribe", folder, str(file), "--format", "srt"]) == 0
    assert "-->" in capsys.readouterr().out
    assert main(["transcribe", folder, str(file), "--format", "json", "--words"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["segments"][0]["words"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"language": "de"}, "language: expected none for a model that spells"),
        ({"task": "translate"}, "task"),
        ({"num_beams": 2}, "num_beams"),
        ({"prompt": "a name"}, "prompt"),
        ({"chunked": True}, "chunked"),
    ],
)
def test_options_of_other_models_are_refused(
    speller: LanguageModel, changes: dict[str, Any], message: str
) -> None:
    sound = Sound(np.zeros(RATE, np.float32), RATE)
    with pytest.raises(InputError, match=message):
        lmkernel.transcribe(speller, sound, progress=False, **changes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampling_rate": 0}, "sampling_rate: expected a rate in Hz, got 0"),
        ({"do_normalize": 1}, "do_normalize: expected true or false"),
        ({"feature_size": 80}, "feature_size: expected 1"),
        ({"padding_value": 0.5}, "padding_value: expected 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = wave_model(tmp_path / "model")
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=message):
        Speller(load(folder), SpeechOptions())


def test_a_vocabulary_without_a_delimiter_spells_one_word(tmp_path: Path) -> None:
    folder = wave_model(tmp_path / "model")
    numbers = {x: i for i, x in enumerate(LETTERS) if x not in {"|", "<unk>"}}
    (folder / "vocab.json").write_text(json.dumps(numbers))
    found = lmkernel.transcribe(
        folder, Sound(vowels(1, rate=RATE).astype(np.float32), RATE), progress=False, words=True
    )
    [segment] = found.segments
    assert [word.text.strip() for word in segment.words] == [found.text]
    assert found.text


def test_a_tokenizer_whose_padding_is_no_blank_is_refused(tmp_path: Path) -> None:
    folder = wave_model(tmp_path / "model")
    file = folder / "tokenizer_config.json"
    own = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**own, "pad_token": LETTERS[3]}))
    with pytest.raises(CheckpointError, match=r"pad_token: expected the token of config\.json's"):
        Speller(load(folder), SpeechOptions())
    file.write_text(json.dumps({**own, "replace_word_delimiter_char": "_"}))
    with pytest.raises(CheckpointError, match="replace_word_delimiter_char: expected a space"):
        Speller(load(folder), SpeechOptions())


def test_a_model_without_its_head_spells_nothing(tmp_path: Path) -> None:
    folder = wave_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    bare = {**config, "architectures": ["Wav2Vec2Model"]}
    assert hears(load(folder))
    (folder / "config.json").write_text(json.dumps(bare))
    assert not hears(load(folder))
    with pytest.raises(InputError, match="finetune --objective transcripts"):
        Speller(load(folder), SpeechOptions())
