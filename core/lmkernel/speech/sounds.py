"""Samples of one channel and their rate: at once, or as they come.

soxr gives samples another rate. What is resampled block by block is the same bits as at once.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, final

import numpy as np

from lmkernel.arguments import refuse_masked
from lmkernel.errors import InputError, MissingDependencyError, shown
from lmkernel.files import reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = [
    "BLOCK",
    "Sound",
    "blocks_of",
    "check_count",
    "check_rate",
    "resampled",
    "speech_library",
    "whole_numbers",
]

BLOCK = 1 << 20
"""Numbers that are decoded or resampled at once."""
_MOST_RATE = 1 << 20
_MOST_SAMPLES = 86_400 * 48_000
_MOST_RAISED = 64
"""How many times as many samples are made of a sound at most: of 250 a second those of a model that
takes 16,000. Less holds no speech, and a small file would be hours of it."""
_MOST_READ = 1 << 20


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
        check_rate(self.rate)
        found = _as_array(self.samples)
        if found.ndim != 1 or found.dtype.kind != "f":
            raise InputError(
                f"expected floating samples of shape (count,), got {found.dtype} {found.shape}"
            )
        check_count(found.size)
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
            found = found.astype(np.float32, copy=False)
        _check_finite(found)
        object.__setattr__(self, "samples", found)

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / self.rate

    def blocks(self, rate: int) -> Iterator[NDArray[np.float32]]:
        """Its samples at a rate, from the first one on, some at a time.

        Raises:
            InputError: a rate that is too much above its own.
            MissingDependencyError: the library that resamples is not installed.
        """
        return resampled([self.samples], self.rate, rate)

    def at_rate(self, rate: int) -> Sound:
        """The same sound at another rate.

        Raises:
            InputError: a rate that is too much above its own.
            MissingDependencyError: the library that does this is not installed.
        """
        if rate == self.rate:
            return self
        return Sound(np.concatenate([*self.blocks(rate)]), rate)


def check_rate(rate: object) -> None:
    """Refuse a rate that makes no sense.

    Raises:
        InputError: says what was expected.
    """
    if type(rate) is not int or not 0 < rate <= _MOST_RATE:
        raise InputError(f"expected a rate of 1 to {_MOST_RATE} Hz, got {shown(rate)}")


def check_count(count: int) -> None:
    """Refuse a sound without samples, or of more than memory holds.

    Raises:
        InputError: says so.
    """
    if not count:
        raise InputError("expected at least one sample, got none")
    if count > _MOST_SAMPLES:
        raise InputError(f"expected at most {_MOST_SAMPLES} samples, a day at 48 kHz, got {count}")


def _as_array(samples: object) -> NDArray[Any]:
    """Samples as an array, whatever holds them."""
    refuse_masked(samples, "samples")
    try:
        return np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"expected samples of shape (count,), got {shown(samples)}") from error


def _check_finite(samples: NDArray[np.float32]) -> None:
    if not np.isfinite(samples).all():
        raise InputError("expected finite samples, got NaN or infinity")


def resampled(
    blocks: Iterable[NDArray[np.float32]], rate: int, wanted: int
) -> Iterator[NDArray[np.float32]]:
    """Samples that come in blocks ``(count,)``, at another rate, in blocks as well.

    A sound that is shorter than one sample of the new rate keeps its first one.

    Args:
        blocks: at ``rate``.
        rate: samples a second.
        wanted: of the result.

    Raises:
        InputError: samples that are not finite, or a rate that is too much above the first.
        MissingDependencyError: the library that does this is not installed.
    """
    if rate == wanted:
        for block in blocks:
            yield from _pieces(block)
        return
    if wanted > rate * _MOST_RAISED:
        raise InputError(f"expected a rate of at least {wanted / _MOST_RAISED:.3g} Hz, got {rate}")
    change = speech_library("soxr").ResampleStream(rate, wanted, 1)
    size = max(1, BLOCK * rate // max(rate, wanted))  # of which no more than a block is made
    first, made = np.empty(0, np.float32), 0
    for block in blocks:
        first = first if len(first) else block[:1].copy()
        for at in range(0, len(block), size):
            new = change.resample_chunk(np.ascontiguousarray(block[at : at + size]))
            made += len(new)
            yield from _pieces(new)
    new = change.resample_chunk(np.empty(0, np.float32), last=True)
    yield from _pieces(new if made or len(new) else first)


def _pieces(samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for at in range(0, len(samples), BLOCK):
        piece = samples[at : at + BLOCK]
        _check_finite(piece)
        yield piece


def blocks_of(stream: BinaryIO, rate: int, wanted: int) -> Iterator[NDArray[np.float32]]:
    """Samples of a stream of 16-bit numbers of one channel, as they come, at another rate.

    Args:
        stream: numbers with their low byte first, without a header.
        rate: samples a second of the stream.
        wanted: of the result.

    Raises:
        InputError: a rate that makes no sense; later, a stream that cannot be read.
        MissingDependencyError: the library that resamples is not installed.
    """
    check_rate(rate)
    return resampled(_streamed(stream), rate, wanted)


def _streamed(stream: BinaryIO) -> Iterator[NDArray[np.float32]]:
    rest = b""  # a sample may come in two reads
    while data := _some(stream):
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        yield whole_numbers(data[:whole], 2)


def _some(stream: BinaryIO) -> bytes:
    with reading("the stream of samples", InputError):
        data: bytes = stream.read1(_MOST_READ)  # type: ignore[attr-defined]  # buffered streams have it
        return data


def whole_numbers(data: bytes, width: int) -> NDArray[np.float32]:
    """Whole numbers of 1 to 4 bytes, the low one first, as numbers -1 to 1."""
    if width == 1:  # the only ones without a sign
        whole = np.frombuffer(data, np.uint8).astype(np.float32)
        whole -= 128
        return whole / np.float32(128)
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


def speech_library(name: str) -> Any:
    """A library of the extra ``speech``.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # soundfile says so of a libsndfile that is not there
        raise MissingDependencyError(
            f"{name} is not installed; run: pip install 'lmkernel[speech]'"
        ) from error
