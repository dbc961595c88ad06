"""Samples with the mean 0 and the variance 1, at once and block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from made_sounds import vowels
from small_waves import RATE, wave_model

from lmkernel.origin import open_origin
from lmkernel.speech import sounds
from lmkernel.speech.sounds import Sound
from lmkernel.speech.waves import WaveSettings

if TYPE_CHECKING:
    from pathlib import Path

SOUND = Sound((np.resize(vowels(1.3), 50_001) + 0.3).astype(np.float32), RATE)
WIDE = SOUND.samples.astype(np.float64)
NORMAL = (WIDE - WIDE.mean()) / np.sqrt(WIDE.var() + 1e-7)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> WaveSettings:
    folder: Path = tmp_path_factory.mktemp("waves") / "model"
    return WaveSettings.of(open_origin(wave_model(folder)))


def test_a_sound_of_one_block_is_the_formulas(settings: WaveSettings) -> None:
    np.testing.assert_array_equal(settings.samples(SOUND), NORMAL.astype(np.float32))


@pytest.mark.parametrize("block", [1, 4096])
def test_blocks_share_their_mean_and_variance(
    block: int, settings: WaveSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sounds, "BLOCK", block)
    blocks = [*settings.blocks(Sound(SOUND.samples[:9000], RATE))]
    assert max(map(len, blocks)) <= block
    wide = WIDE[:9000]
    exact = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-7)
    # moments in float64 are off by far less than the rounding of what comes of them to float32
    found = np.concatenate(blocks)
    assert np.abs(found - exact).max() <= np.spacing(np.float32(np.abs(exact).max()))
