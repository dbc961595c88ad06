"""Whisper's features beside the formula, written plainly."""

from __future__ import annotations

import numpy as np
import pytest
from made_sounds import SOUNDS, vowels

from lmkernel.errors import CheckpointError, InputError
from lmkernel.speech.features import FeatureSettings, log_mel, mel_filters, one_window

SHORT = ("one click", "tone", "square", "noise", "quiet noise", "constant", "clipped")


def plain_filters(bins: int) -> np.ndarray:
    """Slaney's triangles of equal area, one number at a time."""

    def hertz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    last = 15 + 27 * np.log(8) / np.log(6.4)
    corners = [hertz(last * i / (bins + 1)) for i in range(bins + 2)]
    table = np.zeros((201, bins))
    for k in range(201):
        for i in range(bins):
            low, middle, high = corners[i : i + 3]
            up, down = (40 * k - low) / (middle - low), (high - 40 * k) / (high - middle)
            table[k, i] = max(0.0, min(up, down)) * 2 / (high - low)
    return table


def plain_features(samples: np.ndarray, bins: int) -> np.ndarray:
    """By the definition of the Fourier transform."""
    filters = plain_filters(bins)
    turned = -2j * np.pi * np.outer(np.arange(400), np.arange(201)) / 400
    hann = np.sin(np.pi * np.arange(400) / 400) ** 2
    mirrored = np.concatenate([samples[200:0:-1], samples, samples[-2:-202:-1]])
    rows = []
    for frame in range(len(samples) // 160):
        piece = mirrored[160 * frame : 160 * frame + 400] * hann
        energy = np.abs(piece @ np.exp(turned)) ** 2 @ filters
        rows.append(np.log10(np.maximum(energy, 1e-10)))
    found = np.array(rows)
    return (np.maximum(found, found.max() - 8) + 4) / 4


@pytest.mark.parametrize("bins", [80, 128])
def test_filters_are_triangles_of_equal_area(bins: int) -> None:
    got = mel_filters(FeatureSettings(bins=bins))
    np.testing.assert_allclose(got, plain_filters(bins), atol=1e-15)


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("bins", [80, 128])
def test_features_are_the_formulas(name: str, bins: int) -> None:
    samples = SOUNDS[name][0][:4010].astype(np.float64)
    got = log_mel(samples, FeatureSettings(bins=bins))
    # what is left is the rounding to float32 of the logarithms, of the quotient and of the result
    np.testing.assert_allclose(
        got, plain_features(samples, bins), atol=4 * np.spacing(np.float32(4))
    )


def test_a_frame_a_hop_and_none_after_the_end() -> None:
    settings = FeatureSettings()
    for count, frames in ((201, 1), (319, 1), (320, 2), (16000, 100), (480_000, 3000)):
        assert log_mel(np.ones(count, np.float32), settings).shape == (frames, 80)


def test_blocks_leave_no_seam() -> None:
    settings, sound = FeatureSettings(), np.resize(vowels(1.3), 31 * 16000)
    whole = log_mel(sound, settings)
    alone = log_mel(sound[29 * 16000 :], settings)
    loudest = whole.max()
    inside = alone[3:-3]
    floor = np.maximum(inside, loudest - 2)
    np.testing.assert_allclose(whole[2903:3097], floor, atol=1e-6)


def test_a_window_is_padded_to_thirty_seconds_and_not_by_them() -> None:
    settings = FeatureSettings()
    short, exact, long = np.ones(1), np.ones(480_000), np.ones(500_000)
    assert {one_window(x, settings).shape for x in (short, exact, long)} == {(3000, 80)}
    np.testing.assert_array_equal(one_window(exact, settings), one_window(long, settings))


def test_silence_is_the_lowest_value_everywhere() -> None:
    np.testing.assert_allclose(one_window(np.zeros(9), FeatureSettings()), -1.5)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros(200), "more than 200 samples"),
        (np.zeros((1000, 2)), "in one row"),
        (np.full(1000, np.nan), "finite"),
        (np.full(1000, np.inf), "finite"),
    ],
    ids=["short", "stereo", "nan", "infinite"],
)
def test_samples_without_features_are_refused(samples: np.ndarray, said: str) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match=said):
        log_mel(samples, FeatureSettings())


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"feature_size": 128}, "feature_size: expected 80"),
        ({"dither": 0.1}, "dither: expected 0"),
        ({"padding_side": "left"}, "padding_side: expected right, got 'left'"),
        ({"hop_length": 0}, "hop: expected a whole number in 1"),
        ({"chunk_length": "30"}, "seconds: expected a whole number"),
    ],
)
def test_settings_that_make_no_sense_are_named(document: dict[str, object], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        FeatureSettings.of(document, "preprocessor_config.json", 80)


def test_a_file_may_leave_out_settings() -> None:
    read = FeatureSettings.of({"chunk_length": 10, "feature_size": 128}, "a file", 128)
    assert (read.bins, read.seconds, read.frames, read.rate) == (128, 10, 1000, 16000)
