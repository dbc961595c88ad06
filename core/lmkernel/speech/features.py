"""What Whisper hears of a sound: logarithms of its energy by mel bands (arXiv:2212.04356, §2.2).

Constraint: the numbers are transformers' ``WhisperFeatureExtractor``'s. Everything is computed in
float64, since single precision moves the quiet bands of a loud sound.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import require_count
from lmkernel.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["FeatureSettings", "log_mel", "mel_filters", "one_window"]

_HIGHEST = 8000.0
"""Where the bands end, in Hz."""
_FLOOR, _RANGE = 1e-10, 8.0
"""The least energy, and how many powers of ten below the largest one are told apart."""
_LINEAR, _PER_MEL, _LOG_STEP = 1000.0, 200 / 3, np.log(6.4) / 27
"""Slaney's scale: 200/3 Hz a mel up to 1 kHz, and 27 mels for a factor of 6.4 above."""
_BLOCK = 3000
_READ = ("feature_size", "sampling_rate", "hop_length", "n_fft", "chunk_length")


@final
@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """How features are made of samples.

    Args:
        bins: number of mel bands.
        rate: samples a second.
        hop: samples from one frame to the next.
        window: samples that a frame sees.
        seconds: length of what a model hears at once.
    """

    bins: int = 80
    rate: int = 16000
    hop: int = 160
    window: int = 400
    seconds: int = 30

    def __post_init__(self) -> None:
        for name in ("bins", "rate", "hop", "window", "seconds"):
            require_count(name, getattr(self, name), most=1 << 20)

    @property
    def samples(self) -> int:
        """Number of samples that a model hears at once."""
        return self.seconds * self.rate

    @property
    def frames(self) -> int:
        """Number of frames that a model hears at once."""
        return self.samples // self.hop

    @classmethod
    def of(cls, document: Mapping[str, Any], where: str, bins: int) -> FeatureSettings:
        """What a ``preprocessor_config.json`` says.

        Args:
            document: its content; empty for the usual settings.
            where: its name, for messages.
            bins: the number of bands that the model takes.

        Raises:
            CheckpointError: settings that make no sense, or ask for what is not supported.
        """
        for key in ("dither", "padding_value"):
            if document.get(key):
                raise CheckpointError(f"{where}: {key}: expected 0, got {document[key]!r:.40}")
        ours = ("bins", "rate", "hop", "window", "seconds")
        pairs = zip(_READ, ours, strict=True)
        given = {our: document[key] for key, our in pairs if document.get(key) is not None}
        if given.setdefault("bins", bins) != bins:
            raise CheckpointError(
                f"{where}: feature_size: expected {bins}, which the model takes, "
                f"got {given['bins']!r:.40}"
            )
        try:
            return cls(**given)
        except InputError as error:
            raise CheckpointError(f"{where}: {error}") from error


def log_mel(samples: NDArray[Any], settings: FeatureSettings) -> NDArray[np.float32]:
    """The features of a sound as long as it is, ``(frames, bins)``, a frame for each hop.

    Args:
        samples: ``(count,)`` at the settings' rate, -1 to 1.
        settings: how they are made.

    Raises:
        InputError: too few samples, several channels, or samples that are not finite.
    """
    half, hop = settings.window // 2, settings.hop
    if samples.ndim != 1 or len(samples) <= half:
        raise InputError(f"expected more than {half} samples in one row, got {samples.shape}")
    # a frame is the middle of its window, so what lies before the beginning is its mirror image
    padded = np.pad(samples.astype(np.float32), half, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, settings.window)[::hop]
    count = len(samples) // hop
    shape, filters = _hann(settings.window), mel_filters(settings)
    found = np.empty((count, settings.bins), np.float32)
    for begin in range(0, count, _BLOCK):
        spectra = np.fft.rfft(windows[begin : min(begin + _BLOCK, count)] * shape)
        energies = (spectra.real**2 + spectra.imag**2) @ filters
        found[begin : begin + _BLOCK] = np.log10(np.maximum(energies, _FLOOR))
    loudest = found.max(initial=-np.inf)
    if count and not np.isfinite(loudest):
        raise InputError("expected finite samples, got NaN or infinity")
    np.maximum(found, loudest - np.float32(_RANGE), out=found)
    return (found + np.float32(4)) / np.float32(4)


def one_window(samples: NDArray[Any], settings: FeatureSettings) -> NDArray[np.float32]:
    """The features of what a model hears at once, ``(settings.frames, bins)``.

    A shorter sound is followed by silence, and of a longer one its beginning is taken.
    """
    given = samples[: settings.samples]
    return log_mel(np.pad(given, (0, settings.samples - len(given))), settings)


@functools.cache
def _hann(size: int) -> NDArray[np.float64]:
    """Hann's window, of which the next one would begin where it ends."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


@functools.cache
def mel_filters(settings: FeatureSettings) -> NDArray[np.float64]:
    """Triangles of equal area over the frequencies of a spectrum, ``(window // 2 + 1, bins)``."""
    frequencies = np.linspace(0, settings.rate / 2, settings.window // 2 + 1)
    corners = _hertz(np.linspace(0, _mels(_HIGHEST), settings.bins + 2))
    rising = (frequencies[:, None] - corners[:-2]) / np.diff(corners[:-1])
    falling = (corners[2:] - frequencies[:, None]) / np.diff(corners[1:])
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters: NDArray[np.float64] = triangles * (2 / (corners[2:] - corners[:-2]))
    return filters


def _mels(hertz: float) -> float:
    """The mel of a frequency above 1 kHz."""
    return float(_LINEAR / _PER_MEL + np.log(hertz / _LINEAR) / _LOG_STEP)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    bend = _LINEAR / _PER_MEL
    above = _LINEAR * np.exp(_LOG_STEP * (mels - bend))
    return np.where(mels < bend, mels * _PER_MEL, above)
