"""Sounds from files: samples of one channel and their rate.

WAV files are read by the standard library; FLAC, OGG and MP3, and what else libsndfile knows, by
the library soundfile. Channels become their mean, and soxr gives samples another rate.
"""

from __future__ import annotations

import importlib
import io
import wave
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, final

import numpy as np

from lmkernel.errors import InputError, MissingDependencyError
from lmkernel.files import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Sound", "blocks_of", "read_sound", "sound_of_bytes"]

_MOST_BYTES = 8 << 30
_MOST_SECONDS = 86_400.0
"""A day; a small compressed file may claim years."""
_MOST_RATE, _USUAL_RATE = 1 << 20, 48_000
_BLOCK = 1 << 20
"""Numbers that are decoded at once."""
_MOST_READ = 1 << 20
_MOST_CHUNKS, _CHUNK_HEAD = 1000, 8
"""Chunks of a WAV file before its samples; each begins with a name and a size of four bytes."""
_OPEN_ENDED = 0x7FFFF000
"""Sizes from here on are what programs write that cannot go back to the header of a pipe."""


@final
@dataclass(frozen=True)
class Sound:
    """Samples of one channel.

    Args:
        samples: float32 ``(count,)``, -1 to 1.
        rate: samples a second.

    Raises:
        InputError: no samples, more than one row, NaN or infinity, or a rate that makes no sense.
    """

    samples: NDArray[np.float32]
    rate: int

    def __post_init__(self) -> None:
        if type(self.rate) is not int or not 0 < self.rate <= _MOST_RATE:
            raise InputError(f"expected a rate of 1 to {_MOST_RATE} Hz, got {self.rate!r:.40}")
        found = _as_array(self.samples)
        if found.ndim != 1 or found.dtype.kind != "f":
            raise InputError(
                f"expected floating samples of shape (count,), got {found.dtype} {found.shape}"
            )
        if not found.size:
            raise InputError("expected at least one sample, got none")
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
            found = found.astype(np.float32, copy=False)
        if not np.isfinite(found).all():
            raise InputError("expected finite samples, got NaN or infinity")
        object.__setattr__(self, "samples", found)

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / self.rate

    def at_rate(self, rate: int) -> Sound:
        """The same sound at another rate.

        Raises:
            MissingDependencyError: the library that does this is not installed.
        """
        if rate == self.rate:
            return self
        resampled = _library("soxr").resample(self.samples, self.rate, rate)
        if not len(resampled):  # shorter than one sample of the new rate
            resampled = self.samples[:1]
        return Sound(np.asarray(resampled, np.float32), rate)


def _as_array(samples: object) -> NDArray[Any]:
    """Samples as an array, whatever holds them."""
    try:
        return np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"expected samples of shape (count,), got {samples!r:.60}") from error


def blocks_of(stream: BinaryIO, rate: int, wanted: int) -> Iterator[NDArray[np.float32]]:
    """Samples of a stream of 16-bit numbers of one channel, as they come, at another rate.

    Args:
        stream: numbers with their low byte first, without a header.
        rate: samples a second of the stream.
        wanted: of the result.

    Raises:
        InputError: a rate that makes no sense.
        MissingDependencyError: the library that resamples is not installed.
    """
    Sound(np.zeros(1, np.float32), rate)  # checks the rate
    change = None if rate == wanted else _library("soxr").ResampleStream(rate, wanted, 1)
    rest = b""  # a sample may come in two reads
    while data := stream.read1(_MOST_READ):  # type: ignore[attr-defined]  # buffered streams have it
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        samples = _values(data[:whole], 2)
        yield samples if change is None else change.resample_chunk(samples)
    if change is not None:
        yield change.resample_chunk(np.empty(0, np.float32), last=True)


def read_sound(path: Path) -> Sound:
    """The sound in a file.

    Raises:
        InputError: no such file, no sound, one that ends early, or one of more than a day.
        MissingDependencyError: no WAV file, and the library that reads it is not installed.
    """
    return sound_of_bytes(read_file(path, _MOST_BYTES, InputError), str(path))


def sound_of_bytes(content: bytes, where: str, *, most_seconds: float = _MOST_SECONDS) -> Sound:
    """The sound in a file's bytes.

    Args:
        content: of the file.
        where: its name, for messages.
        most_seconds: how long it may be, at rates up to 48 kHz; at higher ones it may have as many
            samples as at that one.

    Raises:
        InputError: it is no sound, is empty, ends early, or is too long.
        MissingDependencyError: its format needs soundfile, which is not installed.
    """
    if not content:
        raise InputError(f"{where}: expected a sound, got an empty file")
    try:
        waves = content[:4] == b"RIFF" and content[8:12] == b"WAVE"
        if waves:
            _find_samples(content)
        plain = waves and _is_plain(content)
        read = _wave_samples if plain else _library_samples
        return Sound(*read(content, where, most_seconds))
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(where) else f"{where}: {text}") from error


def _find_samples(content: bytes) -> None:
    """Refuse a WAV file whose samples do not come before its end, and after few other chunks."""
    at = 12
    for _ in range(_MOST_CHUNKS):
        if content[at : at + 4] == b"data":
            return
        size = int.from_bytes(content[at + 4 : at + _CHUNK_HEAD], "little")
        at += _CHUNK_HEAD + size + size % 2
    raise InputError("no WAV file that can be read: it holds no samples")


def _is_plain(content: bytes) -> bool:
    """Whether the standard library knows the format: whole numbers, without extensions."""
    try:
        with wave.open(io.BytesIO(content)):
            return True
    except wave.Error as error:
        return "unknown format" not in str(error)
    except EOFError:
        return True


def _wave_samples(content: bytes, where: str, most: float) -> tuple[NDArray[np.float32], int]:
    """Samples ``(count,)`` of a WAV file, -1 to 1, and their rate."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            rate, claimed, width = file.getframerate(), file.getnframes(), file.getsampwidth()
            channels = file.getnchannels()
            size = width * channels
            open_ended = claimed * size >= _OPEN_ENDED
            _check_length(len(content) // size if open_ended else claimed, rate, where, most)
            found = bytearray()
            while data := file.readframes(max(1, _BLOCK // channels)):
                rows = _values(data[: len(data) // size * size], width).reshape(-1, channels)
                found += _one_channel(rows).tobytes()
    except (wave.Error, EOFError) as error:
        raise InputError(
            f"{where}: no WAV file that can be read: {str(error) or 'it ends early'}"
        ) from error
    samples = np.frombuffer(found, np.float32)
    if len(samples) < claimed and not open_ended:
        raise InputError(
            f"{where}: the file ends early: expected {claimed} samples, got {len(samples)}"
        )
    return samples, rate


def _one_channel(rows: NDArray[Any]) -> NDArray[np.float32]:
    """The mean of channels ``(count, channels)``."""
    one: NDArray[Any] = rows[:, 0] if rows.shape[1] == 1 else rows.mean(axis=1, dtype=np.float64)
    return one.astype(np.float32, copy=False)


def _values(data: bytes, width: int) -> NDArray[Any]:
    """Whole numbers of 1 to 4 bytes as numbers -1 to 1."""
    if width == 1:  # the only ones without a sign
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if width in (2, 4):
        whole = np.frombuffer(data, f"<i{width}").astype(np.float32)
        whole *= np.float32(2.0 ** (1 - 8 * width))
        return whole
    if width == 3:  # noqa: PLR2004 - 24 bits, which no dtype has
        bytes_ = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(bytes_), 4), np.uint8)
        wide[:, 1:] = bytes_
        return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    raise InputError(f"expected samples of 8, 16, 24 or 32 bits, got {8 * width}")


def _library_samples(content: bytes, where: str, most: float) -> tuple[NDArray[np.float32], int]:
    """The same of what libsndfile knows."""
    if content[:4] not in _MAGIC and not _is_mp3(content):
        raise InputError(f"{where}: expected a sound (WAV, FLAC, OGG or MP3), got something else")
    library = _library("soundfile")
    try:
        with library.SoundFile(io.BytesIO(content)) as file:
            claimed, rate = int(file.frames), int(file.samplerate)
            _check_length(claimed, rate, where, most)
            # block by block, so that channels take no more memory than their mean does
            size = max(1, _BLOCK // max(1, int(file.channels)))
            found = bytearray()  # which grows, as a header may claim more than there is
            while len(found) < 4 * claimed and len(
                rows := file.read(size, "float32", always_2d=True)
            ):
                found += _one_channel(rows).tobytes()
    except InputError:  # ours, of the length
        raise
    except (library.LibsndfileError, RuntimeError, ValueError) as error:
        raise InputError(f"{where}: no sound that can be read: {error!s:.200}") from error
    samples = np.frombuffer(found, np.float32)
    if len(samples) < claimed:
        raise InputError(
            f"{where}: the file ends early: expected {claimed} samples, got {len(samples)}"
        )
    return samples[:claimed], rate


_MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b".snd", b"caff")
_TAG, _SYNC = b"ID3", 0xE0


def _is_mp3(content: bytes) -> bool:
    framed = len(content) > 1 and content[0] == 0xFF and content[1] & _SYNC == _SYNC  # noqa: PLR2004 - eleven ones
    return content[:3] == _TAG or framed


def _check_length(count: int, rate: int, where: str, most: float) -> None:
    if rate > 0 and count > most * min(rate, _USUAL_RATE):
        raise InputError(
            f"{where}: expected {most:.0f} s of sound at most, and fewer at rates above "
            f"{_USUAL_RATE} Hz, got {count / rate:.0f} s at {rate} Hz"
        )


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # soundfile says so of a libsndfile that is not there
        raise MissingDependencyError(
            f"{name} is not installed; run: pip install 'lmkernel[speech]'"
        ) from error
