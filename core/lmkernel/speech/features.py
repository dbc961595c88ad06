"""What Whisper hears of a sound: logarithms of its energy by mel bands (arXiv:2212.04356, §2.2).

Constraint: the numbers are transformers' ``WhisperFeatureExtractor``'s. Everything is computed in
float64, since single precision moves the quiet bands of a loud sound.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import require_count
from lmkernel.errors import CheckpointError, InputError
from lmkernel.speech.reel import Reel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["FeatureSettings", "audible", "log_mel", "mel_blocks", "mel_filters", "one_window"]

_HIGHEST = 8000.0
"""Where the bands end, in Hz."""
_FLOOR, _RANGE = 1e-10, 8.0
"""The least energy, and how many powers of ten below the largest one are told apart."""
_LINEAR, _PER_MEL, _LOG_STEP = 1000.0, 200 / 3, np.log(6.4) / 27
"""Slaney's scale: 200/3 Hz a mel up to 1 kHz, and 27 mels for a factor of 6.4 above."""
_AT_ONCE = 1_200_000
"""Samples in the windows of the frames that are made at once: 3000, usually."""
_MOST_SAMPLES, _MOST_WINDOW = 1 << 24, 1 << 16
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
            most = _MOST_WINDOW if name == "window" else 1 << 20
            require_count(name, getattr(self, name), most=most)
        if self.samples > _MOST_SAMPLES:
            raise InputError(
                f"seconds: expected at most {_MOST_SAMPLES} samples in a window, got {self.samples}"
            )

    @property
    def samples(self) -> int:
        """Number of samples that a model hears at once."""
        return self.seconds * self.rate

    @property
    def frames(self) -> int:
        """Number of frames that a model hears at once."""
        return (self.samples - self.window % 2) // self.hop

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
        for key, only in (("dither", 0), ("padding_value", 0), ("padding_side", "right")):
            if document.get(key, only) not in (only, None):
                raise CheckpointError(f"{where}: {key}: expected {only}, got {document[key]!r:.40}")
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
    if samples.ndim != 1:
        raise InputError(f"expected samples in one row, got {samples.shape}")
    none = np.empty((0, settings.bins), np.float32)
    found = np.concatenate([none, *mel_blocks([samples], settings)])
    loudest = found.max(initial=-np.inf)
    if len(found) and not np.isfinite(loudest):
        raise InputError("expected finite samples, got NaN or infinity")
    return audible(found, loudest)


def mel_blocks(
    blocks: Iterable[NDArray[Any]], settings: FeatureSettings
) -> Iterator[NDArray[np.float32]]:
    """Logarithms of energies ``(some, bins)`` of a sound that comes in blocks, as it comes.

    Of which frames a block is made depends on the settings alone, so the numbers do not depend on
    how the samples come.

    Args:
        blocks: samples ``(some,)`` at the settings' rate, -1 to 1.
        settings: how they are made.

    Raises:
        InputError: too few samples.
    """
    half, hop = settings.window // 2, settings.hop
    shape, filters = _hann(settings.window), mel_filters(settings)
    # a frame is the middle of its window, so what lies before the beginning is its mirror image
    reel = Reel(_mirrored(blocks, half))
    size = max(1, _AT_ONCE // max(settings.window, hop))
    for first in itertools.count(0, size):
        samples = reel.take(first * hop, size * hop + settings.window)
        count = (len(samples) - settings.window) // hop
        if count < 1:
            return
        windows = np.lib.stride_tricks.sliding_window_view(samples, settings.window)[::hop]
        spectra = np.fft.rfft(windows[:count] * shape)
        energies = (spectra.real**2 + spectra.imag**2) @ filters
        yield np.log10(np.maximum(energies, _FLOOR)).astype(np.float32)


def _mirrored(blocks: Iterable[NDArray[Any]], half: int) -> Iterator[NDArray[np.float32]]:
    """Samples with so many before the first one and behind the last one, as in a mirror."""
    held, begun = np.empty(0, np.float32), False
    for block in blocks:
        held = np.concatenate([held, block], dtype=np.float32)
        if begun:
            yield held[half + 1 :]
        elif len(held) > half:
            begun = True
            yield held[half:0:-1]
            yield held
        if begun:
            held = held[-half - 1 :]
    if not begun:
        raise InputError(f"expected more than {half} samples, got {len(held)}")
    yield held[-2 : -half - 2 : -1]


def audible(found: NDArray[np.float32], loudest: float) -> NDArray[np.float32]:
    """Features of logarithms of energies, where those far below the loudest one are alike."""
    raised = np.maximum(found, np.float32(loudest) - np.float32(_RANGE))
    return (raised + np.float32(4)) / np.float32(4)


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
    # the highest frequency is a whole number in transformers, at odd rates too
    frequencies = np.linspace(0, settings.rate // 2, settings.window // 2 + 1)
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
