"""Whisper's features of speech in eight languages, beside transformers'."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from lmkernel.speech.features import FeatureSettings, one_window
from lmkernel.speech.sound_files import sound_of_bytes

SENTENCES = {
    "en-us": "the quick brown fox jumps over the lazy dog",
    "de": "der schnelle braune Fuchs springt über den Hund",
    "fr": "le rapide renard brun saute par-dessus le chien",
    "es": "el veloz zorro marrón salta sobre el perro",
    "it": "la volpe marrone salta sopra il cane",
    "ru": "быстрая лиса прыгает через собаку",
    "hi": "तेज लोमड़ी कुत्ते के ऊपर से कूदती है",
    "cmn": "你好世界",
}


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("language", SENTENCES)
def test_features_of_speech_equal(language: str, bins: int) -> None:
    command = ["espeak-ng", "--stdout", "-v", language, SENTENCES[language]]
    made = subprocess.run(command, check=True, capture_output=True).stdout
    samples = np.concatenate([*sound_of_bytes(made, "espeak-ng").blocks(16000)])
    witness = WhisperFeatureExtractor(feature_size=bins)
    whole = np.zeros(witness.n_samples, np.float32)
    whole[: len(samples)] = samples
    exact = witness._np_extract_fbank_features(whole[None], "cpu")[0].T
    got = one_window(samples, FeatureSettings(bins=bins))
    # a logarithm of at most 8 is rounded, divided and rounded again
    np.testing.assert_allclose(got, exact, atol=4 * np.spacing(np.float32(4)))
