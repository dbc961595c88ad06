"""The features of a sound of any length, made as they are listened to."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np

from lmkernel.speech.features import audible, mel_blocks, one_window
from lmkernel.speech.reel import Reel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lmkernel.speech.features import FeatureSettings
    from lmkernel.speech.sound_files import AnySound

__all__ = ["SoundFrames"]


@final
class SoundFrames:
    """Frames of a sound at any rate, of which no more are held than a model hears at once.

    What is quiet depends on the loudest moment of the sound, so one that is longer than a window is
    listened to twice: for that moment, and for its frames.

    Args:
        sound: any.
        settings: how features are made.

    Raises:
        InputError: the sound ends early, or cannot be read.
    """

    def __init__(self, sound: AnySound, settings: FeatureSettings) -> None:
        self._size = settings.frames
        beginning = Reel(sound.blocks(settings.rate)).take(0, settings.samples + 1)
        if len(beginning) <= settings.samples:
            self.count = min(-(-len(beginning) // settings.hop), settings.frames)
            self._reel = Reel([one_window(beginning, settings)])
            return
        self.count, loudest = 0, -np.inf
        for block in mel_blocks(sound.blocks(settings.rate), settings):
            self.count += len(block)
            loudest = max(loudest, float(block.max()))
        self._reel = Reel(_frames(sound, settings, loudest))

    def window(self, first: int) -> NDArray[np.float32]:
        """Frames ``(1, size, bins)`` from one on; zeros where there are no more.

        Args:
            first: as in the call before, or further on.
        """
        part = self._reel.take(first, self._size)
        return np.pad(part, ((0, self._size - len(part)), (0, 0)))[None]


def _frames(
    sound: AnySound, settings: FeatureSettings, loudest: float
) -> Iterator[NDArray[np.float32]]:
    for block in mel_blocks(sound.blocks(settings.rate), settings):
        yield audible(block, loudest)
