"""Whisper's features beside transformers', on twenty sounds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from made_sounds import SOUNDS
from transformers import WhisperFeatureExtractor

from lmkernel.speech.features import FeatureSettings, mel_filters, one_window
from lmkernel.speech.sounds import Sound


@pytest.fixture(scope="module", params=[80, 128])
def witness(request: pytest.FixtureRequest) -> WhisperFeatureExtractor:
    return WhisperFeatureExtractor(feature_size=request.param)


def test_filters_equal(witness: WhisperFeatureExtractor) -> None:
    ours = mel_filters(FeatureSettings(bins=witness.feature_size))
    np.testing.assert_allclose(ours, witness.mel_filters, atol=1e-15)


@pytest.mark.parametrize("name", SOUNDS)
def test_features_equal(witness: WhisperFeatureExtractor, name: str) -> None:
    samples = Sound(*SOUNDS[name]).at_rate(16000).samples
    got = one_window(samples, FeatureSettings(bins=witness.feature_size))
    whole = np.zeros(witness.n_samples, np.float32)
    whole[: len(samples)] = samples[: len(whole)]
    exact = witness._np_extract_fbank_features(whole[None], "cpu")[0].T
    # both compute in float64; a logarithm of at most 8 is rounded, divided and rounded again
    np.testing.assert_allclose(got, exact, atol=4 * np.spacing(np.float32(4)))
    # what transformers gives by default computes in float32, which is its own error
    usual = witness(samples, sampling_rate=16000, return_tensors="np").input_features[0].T
    honest = np.abs(usual - exact).max()
    assert np.abs(got - usual).max() <= honest + 4 * np.spacing(np.float32(4))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050])
@pytest.mark.parametrize("window", [255, 400, 401, 512])
def test_features_equal_at_odd_rates_and_windows(rate: int, window: int) -> None:
    asked = {"feature_size": 128, "sampling_rate": rate, "n_fft": window, "chunk_length": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of filters without a frequency
        witness = WhisperFeatureExtractor(**asked)
    settings = FeatureSettings.of(asked, "a test", 128)
    np.testing.assert_allclose(mel_filters(settings), witness.mel_filters, atol=1e-15)
    samples = np.random.default_rng(6).normal(0, 0.2, settings.samples).astype(np.float32)
    exact = witness._np_extract_fbank_features(samples[None], "cpu")[0].T
    assert settings.frames == len(exact)
    got = one_window(samples, settings)
    np.testing.assert_allclose(got, exact, atol=4 * np.spacing(np.float32(4)))
