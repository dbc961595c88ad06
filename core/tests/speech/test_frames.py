"""The frames of a sound that is never in memory at once are those of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from made_sounds import vowels

from lmkernel.errors import InputError
from lmkernel.speech import sounds
from lmkernel.speech.features import FeatureSettings, log_mel, one_window
from lmkernel.speech.frames import SoundFrames
from lmkernel.speech.sounds import Sound

SETTINGS = FeatureSettings(seconds=1)
# what is loud comes late, so that what is before it depends on it
LATE = np.resize(vowels(1.3), 100_001).astype(np.float32) * np.linspace(0, 1, 100_001) ** 4
LONG = Sound(LATE, 16000)


@pytest.mark.parametrize("block", [160, 997, 1 << 20])
@pytest.mark.parametrize("rate", [16000, 11025])
def test_windows_of_a_long_sound_are_those_of_the_whole(
    block: int, rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = LONG.at_rate(rate)
    whole = log_mel(sound.at_rate(16000).samples, SETTINGS)
    monkeypatch.setattr(sounds, "BLOCK", block)
    frames = SoundFrames(sound, SETTINGS)
    assert frames.count == len(whole)
    for first in (0, 30, 99, 350, 601):
        padded = np.zeros((100, 80), np.float32)
        padded[: len(whole) - first] = whole[first : first + 100]
        np.testing.assert_array_equal(frames.window(first)[0], padded)


@pytest.mark.parametrize("count", [1, 300, 15_999, 16_000])
def test_a_sound_within_a_window_is_padded_to_it(count: int) -> None:
    frames = SoundFrames(Sound(LONG.samples[-count:], 16000), SETTINGS)
    assert frames.count == -(-count // 160)
    expected = one_window(LONG.samples[-count:], SETTINGS)
    np.testing.assert_array_equal(frames.window(0)[0], expected)


def test_one_sample_more_than_a_window_is_a_long_sound() -> None:
    frames = SoundFrames(Sound(LONG.samples[:16_001], 16000), SETTINGS)
    expected = log_mel(LONG.samples[:16_001], SETTINGS)
    np.testing.assert_array_equal(frames.window(0)[0], expected)


def test_the_frames_that_are_made_at_once_have_a_bound() -> None:
    wide = FeatureSettings(seconds=1, window=1 << 16, hop=1000)
    assert SoundFrames(Sound(np.ones(99_999, np.float32), 16000), wide).window(90).any()
    with pytest.raises(InputError, match="window: expected a whole number in 1 … 65536"):
        FeatureSettings(window=1 << 17)
    with pytest.raises(InputError, match="seconds: expected at most 16777216 samples"):
        FeatureSettings(seconds=1 << 20)
