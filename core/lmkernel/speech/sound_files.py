"""Sounds in files: decoded block by block, each time they are listened to.

WAV files are read by the standard library; FLAC, OGG and MP3, and what else libsndfile knows, by
the library soundfile. Channels become their mean.
"""

from __future__ import annotations

import io
import os
import tempfile
import wave
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, BinaryIO, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.files import open_regular, reading
from lmkernel.speech.mpeg_frames import FrameCounts, with_count
from lmkernel.speech.sound_ends import OPEN_ENDED, check_end, samples_chunk
from lmkernel.speech.sounds import (
    BLOCK,
    Sound,
    check_count,
    check_rate,
    resampled,
    speech_library,
    whole_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["AnySound", "StoredSound", "kept_stream", "read_sound", "sound_of_bytes"]

_MOST_SECONDS = 86_400.0
"""A day; a small compressed file may claim years."""
_USUAL_RATE = 48_000
_MOST_BYTES, _MOST_READ = 8 << 30, 1 << 20
"""Of a pipe in all, and of it at once."""
_HEAD = 12
"""Bytes that tell a format."""
_MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b".snd", b"caff")
_TAG, _SYNC = b"ID3", 0xE0


@final
@dataclass(frozen=True)
class _Decoded:
    """A file that is being decoded.

    Args:
        rate: samples a second.
        count: of samples, as its header or its size says.
        rows: numbers ``(some, channels)``, -1 to 1.
        announced: whether the file itself says the count, so that one with fewer ends early.
    """

    rate: int
    count: int
    rows: Iterator[NDArray[Any]]
    announced: bool = True


@final
class StoredSound:
    """A sound in a file. Its samples are never in memory at once.

    Args:
        opened: gives the file, open at its beginning.
        where: its name, for messages.
        most_seconds: how long it may be, at rates up to 48 kHz; at higher ones it may have as many
            samples as at that one.

    Raises:
        InputError: it is no sound, is empty, or says that it is too long.
        MissingDependencyError: its format needs soundfile, which is not installed.
    """

    def __init__(
        self,
        opened: Callable[[], BinaryIO],
        where: str,
        *,
        most_seconds: float = _MOST_SECONDS,
    ) -> None:
        self._opened, self._where = opened, where
        self._counts: FrameCounts = {}
        with self._named(), opened() as file, _decoded(file, self._counts) as found:
            check_rate(found.rate)
            _check_length(found.count, found.rate, most_seconds)
            check_count(found.count)
            self.rate, self._count = found.rate, found.count

    @property
    def seconds(self) -> float:
        """Its length, as the header says. Reading fails where it has fewer samples."""
        return self._count / self.rate

    def blocks(self, rate: int) -> Iterator[NDArray[np.float32]]:
        """Its samples at a rate, from the first one on, some at a time.

        Raises:
            InputError: it ends early, cannot be read, has samples that are not finite, or a rate
                that is too low.
            MissingDependencyError: the library that resamples is not installed.
        """
        with self._named():
            yield from resampled(self._samples(), self.rate, rate)

    def _samples(self) -> Iterator[NDArray[np.float32]]:
        left = self._count
        with self._opened() as file, _decoded(file, self._counts) as found:
            if (found.rate, found.count) != (self.rate, self._count):
                raise InputError("the file was changed while it was read")
            for rows in found.rows:
                samples = _one_channel(rows)[:left]
                left -= len(samples)
                yield samples
                if not left:
                    return
            if not found.announced:
                return
            got = self._count - left
            raise InputError(f"the file ends early: expected {self._count} samples, got {got}")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Its name is before what is wrong with it."""
        try:
            with reading(f"{self._where}:", InputError):
                yield
        except MemoryError as error:
            raise InputError(
                f"{self._where}: there is not enough memory for it: {error}"
            ) from error
        except InputError as error:
            text = str(error)
            raise InputError(
                text if text.startswith(self._where) else f"{self._where}: {text}"
            ) from error


AnySound = Sound | StoredSound


def read_sound(path: Path) -> StoredSound:
    """The sound in a file.

    Raises:
        InputError: no such file, no sound, or one of more than a day.
        MissingDependencyError: no WAV file, and the library that reads it is not installed.
    """
    return StoredSound(lambda: open_regular(path, InputError), str(path))


def sound_of_bytes(
    content: bytes, where: str, *, most_seconds: float = _MOST_SECONDS
) -> StoredSound:
    """The sound in a file's bytes; see `StoredSound`."""
    return StoredSound(lambda: io.BytesIO(content), where, most_seconds=most_seconds)


@contextmanager
def kept_stream(stream: BinaryIO, where: str) -> Iterator[StoredSound]:
    """The sound of a pipe, kept in a file without a name, since it is listened to twice.

    It is read by one at a time.

    Raises:
        InputError: it is no sound, longer than what is kept, or cannot be read or kept.
        MissingDependencyError: its format needs soundfile, which is not installed.
    """
    # without a buffer, which would be written again, and fail again, when the file is closed
    with tempfile.TemporaryFile(buffering=0) as kept:
        for data in _read(stream, where):
            begun = kept.tell() > 0
            _keep(kept, data, where)
            if not begun and not _is_sound(data):
                break  # is refused below
            if kept.tell() > _MOST_BYTES:
                raise InputError(f"{where}: expected at most {_MOST_BYTES} bytes, got more")

        def again() -> BinaryIO:
            file = os.fdopen(os.dup(kept.fileno()), "rb")
            file.seek(0)
            return file

        yield StoredSound(again, where)


def _read(stream: BinaryIO, where: str) -> Iterator[bytes]:
    with reading(f"{where}:", InputError):
        while data := stream.read(_MOST_READ):
            yield data


def _keep(kept: IO[bytes], data: bytes, where: str) -> None:
    left = memoryview(data)
    try:
        while left:
            left = left[kept.write(left) :]
    except OSError as error:
        raise InputError(f"{where}: cannot be kept in a file: {error.strerror}") from error


def _is_sound(content: bytes) -> bool:
    """Whether it begins as a format that is known."""
    framed = len(content) > 1 and content[0] == 0xFF and content[1] & _SYNC == _SYNC  # noqa: PLR2004 - eleven ones
    return content[:4] in _MAGIC or content[:3] == _TAG or framed


@contextmanager
def _decoded(file: BinaryIO, counts: FrameCounts) -> Iterator[_Decoded]:
    """What a file holds.

    Args:
        file: at its beginning.
        counts: of frames that were counted before; see `with_count`.

    Raises:
        InputError: no sound, or one that cannot be read.
    """
    head = file.read(_HEAD)
    if not head:
        raise InputError("expected a sound, got an empty file")
    if not _is_sound(head):
        raise InputError("expected a sound (WAV, FLAC, OGG or MP3), got something else")
    waves = head[:4] == b"RIFF" and head[8:12] == b"WAVE"
    begin, size = samples_chunk(file) if waves else (0, 0)
    plain = waves and _is_plain(file)
    with _wave(file, begin, size) if plain else _by_library(file, counts) as found:
        yield found


def _is_plain(file: BinaryIO) -> bool:
    """Whether the standard library knows the format: whole numbers, without extensions."""
    file.seek(0)
    try:
        with wave.open(file):
            return True
    except wave.Error as error:
        return "unknown" not in str(error)  # of what is extended, 3.12 says so in other words
    except EOFError:
        return True


@contextmanager
def _wave(file: BinaryIO, begin: int, size: int) -> Iterator[_Decoded]:
    """A WAV file of whole numbers, of whose samples so many bytes begin at a byte."""
    file.seek(4)
    end = min(8 + int.from_bytes(file.read(4), "little"), file.seek(0, os.SEEK_END))
    file.seek(0)
    try:
        with wave.open(file) as opened:
            width, channels = opened.getsampwidth(), opened.getnchannels()
            row, count = width * channels, opened.getnframes()
            if size >= OPEN_ENDED:
                count = max(0, end - begin) // row

            def rows() -> Iterator[NDArray[Any]]:
                while data := opened.readframes(max(1, BLOCK // channels)):
                    whole = data[: len(data) // row * row]
                    yield whole_numbers(whole, width).reshape(-1, channels)

            yield _Decoded(opened.getframerate(), count, rows())
    except (wave.Error, EOFError) as error:
        raise InputError(
            f"no WAV file that can be read: {str(error) or 'it ends early'}"
        ) from error


@contextmanager
def _by_library(file: BinaryIO, counts: FrameCounts) -> Iterator[_Decoded]:
    """The same of what libsndfile knows."""
    library = speech_library("soundfile")
    check_end(file)
    counted = with_count(file, counts)
    counted.seek(0)
    try:
        with library.SoundFile(counted) as opened:
            size = max(1, BLOCK // max(1, int(opened.channels)))

            def rows() -> Iterator[NDArray[Any]]:
                while len(found := opened.read(size, "float32", always_2d=True)):
                    yield found

            yield _Decoded(int(opened.samplerate), int(opened.frames), rows(), counted is file)
    except InputError:  # ours, of the samples
        raise
    except (library.LibsndfileError, RuntimeError, ValueError) as error:
        why = getattr(error, "error_string", error)
        raise InputError(f"no sound that can be read: {why!s:.200}") from error


def _one_channel(rows: NDArray[Any]) -> NDArray[np.float32]:
    """The mean of channels ``(count, channels)``."""
    if rows.shape[1] == 1:
        return rows[:, 0]
    with np.errstate(invalid="ignore"):  # of infinity in both; what comes of it is refused
        mean: NDArray[np.float64] = rows.mean(axis=1, dtype=np.float64)
    return mean.astype(np.float32)


def _check_length(count: int, rate: int, most: float) -> None:
    if count > most * min(rate, _USUAL_RATE):
        raise InputError(
            f"expected {most:.0f} s of sound at most, and fewer at rates above "
            f"{_USUAL_RATE} Hz, got {count / rate:.0f} s at {rate} Hz"
        )
