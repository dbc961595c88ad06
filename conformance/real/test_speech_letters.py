"""Letters, samples and times of words beside transformers' own of Wav2Vec2."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from made_sounds import SOUNDS
from small_waves import DESCRIBED, LETTERS, RATE, wave_model
from transformers import AutoModelForCTC, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

import lmkernel as lk
from lmkernel.origin import open_origin
from lmkernel.speech.options import SpeechOptions
from lmkernel.speech.sounds import Sound
from lmkernel.speech.spelling import Speller, best_path, spelt_words
from lmkernel.speech.waves import WaveSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wave_model(tmp_path_factory.mktemp("letters") / "model")


def test_texts_have_the_same_ids(folder: Path) -> None:
    theirs = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    ours = open_origin(folder).tokenizer
    for text in ("abc", "a b  c", "hxg", " a", ""):
        assert ours.encode(text) == theirs(text)["input_ids"], text


@pytest.mark.parametrize("lower", [False, True])
def test_paths_have_the_same_texts_and_words_the_same_times(*, lower: bool, tmp_path: Path) -> None:
    folder = wave_model(tmp_path / "model")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    theirs = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), do_lower_case=lower)
    ours = open_origin(folder).tokenizer
    drawn = np.random.default_rng(5)
    for _ in range(20):
        # letters are held for some steps, with blanks and gaps between words
        steps = np.repeat(drawn.choice([0, 2, 3, 4, 5, 6], 60), drawn.integers(1, 4, 60))
        path = best_path(np.eye(len(LETTERS))[steps], 0)
        expected = theirs.decode(steps, output_word_offsets=True)
        found = spelt_words(path, 2, ours.decode, 1.0)
        # theirs keeps the gaps between two delimiters as spaces
        assert " ".join(w.text.strip() for w, _ in found) == " ".join(expected.text.split())
        words = [w for w in expected.word_offsets if w["word"].strip()]
        assert [(w.begin, w.end) for w, _ in found] == [
            (w["start_offset"], w["end_offset"]) for w in words
        ]


@pytest.mark.parametrize("name", sorted(SOUNDS))
def test_samples_equal(name: str, folder: Path) -> None:
    samples = SOUNDS[name][0]
    theirs = Wav2Vec2FeatureExtractor(sampling_rate=RATE)(samples, sampling_rate=RATE)
    wide = samples.astype(np.float64)
    exact = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-7)
    # mean and variance are taken in float32 there
    honest = np.abs(theirs["input_values"][0] - exact).max()
    got = WaveSettings.of(open_origin(folder)).samples(Sound(samples, RATE))
    budget = 4 * honest + 4 * np.spacing(np.float32(np.abs(exact).max()))
    assert np.abs(got - theirs["input_values"][0]).max() <= budget


def test_a_sound_has_the_same_logits(folder: Path) -> None:
    model = AutoModelForCTC.from_pretrained(folder).eval()
    hearing = Speller(lk.load(folder), SpeechOptions())
    given = hearing.settings.samples(Sound(SOUNDS["vowels"][0], RATE))
    with torch.inference_mode():
        honest = model(torch.tensor(given[None])).logits[0].numpy()
        exact = model.double()(torch.tensor(given[None]).double()).logits[0].numpy()
    budget = 4 * np.abs(honest - exact).max() + 4 * np.spacing(np.float32(np.abs(exact).max()))
    assert hearing.logits(given).shape == exact.shape
    assert np.abs(hearing.logits(given) - exact).max() <= budget
    assert model.config.vocab_size == DESCRIBED["vocab_size"]
