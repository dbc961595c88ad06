"""Twenty sounds made of formulas: silence, clicks, tones, noise, and what sounds like vowels."""

from __future__ import annotations

import io
import wave
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SOUNDS", "vowels", "wave_bytes"]

RATE = 16000
Samples = NDArray[np.float32]


def _times(seconds: float, rate: int = RATE) -> NDArray[np.float64]:
    return np.arange(round(seconds * rate)) / rate


def _noise(seconds: float, level: float, rate: int = RATE) -> NDArray[np.float64]:
    return np.random.default_rng(5).normal(0, level, round(seconds * rate))


def _clicks(every: int, seconds: float) -> NDArray[np.float64]:
    found = np.zeros(round(seconds * RATE))
    found[100::every] = 0.9
    return found


def vowels(seconds: float, pitch: float = 120.0, rate: int = RATE) -> NDArray[np.float64]:
    """Harmonics of a pitch, loud near three formants that move, with pauses between them."""
    times = _times(seconds, rate)
    sound = np.zeros(len(times))
    for number in range(1, 30):
        hertz = pitch * number
        if hertz < rate / 2:
            near = sum(
                np.exp(-(((hertz - middle * (1 + 0.2 * np.sin(3 * times))) / 150) ** 2))
                for middle in (500, 1500, 2500)
            )
            sound += near * np.sin(2 * np.pi * hertz * times)
    return 0.2 * sound * (np.sin(2 * np.pi * 1.7 * times) > -0.4)


SOUNDS: Mapping[str, tuple[Samples, int]] = MappingProxyType(
    {
        name: (np.asarray(samples, np.float32), rate)
        for name, (samples, rate) in {
            "silence": (np.zeros(RATE), RATE),
            "one sample": (np.full(1, 0.5), RATE),
            "two hundred samples": (_noise(200 / RATE, 0.1), RATE),
            "one click": (_clicks(RATE, 1), RATE),
            "clicks": (_clicks(731, 2), RATE),
            "low tone": (np.sin(2 * np.pi * 60 * _times(1)), RATE),
            "tone": (0.8 * np.sin(2 * np.pi * 440 * _times(2)), RATE),
            "high tone": (0.5 * np.sin(2 * np.pi * 7900 * _times(1)), RATE),
            "rising tone": (0.9 * np.sin(2 * np.pi * (90 + 120 * _times(8)) * _times(8)), RATE),
            "square": (np.sign(np.sin(2 * np.pi * 200 * _times(1))), RATE),
            "noise": (_noise(3, 0.1), RATE),
            "quiet noise": (_noise(1, 1e-5), RATE),
            "constant": (np.full(RATE, 0.3), RATE),
            "clipped": (np.clip(_noise(1, 2), -1, 1), RATE),
            "vowels": (vowels(2), RATE),
            "high voice": (vowels(1, 230), RATE),
            "nearly a window": (np.resize(vowels(2), 478_400), RATE),
            "a window": (_noise(30, 0.05), RATE),
            "longer": (np.resize(vowels(2), 65 * RATE), RATE),
            "telephone": (vowels(2, 150, 8000), 8000),
        }.items()
    }
)
"""Samples and their rate, by name."""


def wave_bytes(rows: NDArray[np.floating], rate: int, width: int = 2) -> bytes:
    """A WAV file of ``(count, channels)``, with whole numbers of so many bytes."""
    most = (1 << (8 * width - 1)) - 1
    whole = np.round(rows * most).astype(np.int64) + (128 if width == 1 else 0)
    data = whole.reshape(-1, 1).astype("<i8").view(np.uint8)[:, :width].tobytes()
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(rows.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return made.getvalue()
