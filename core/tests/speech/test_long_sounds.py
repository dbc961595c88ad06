"""Memory does not grow with a sound, whatever hears it and however it is stored."""

from __future__ import annotations

import io
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from small_waves import RATE, wave_model

import lmkernel
from lmkernel import LanguageModel, load
from lmkernel.errors import InputError
from lmkernel.speech import features, sound_files, sounds, spelling
from lmkernel.speech.hearing import Heard, Hearing
from lmkernel.speech.sound_files import sound_of_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCK = 1 << 13
SHORT, LONG = 20, 120
"""Seconds of two sounds."""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a sound of seconds has as many as one of hours."""
    monkeypatch.setattr(sounds, "BLOCK", BLOCK)
    monkeypatch.setattr(sound_files, "BLOCK", BLOCK)
    monkeypatch.setattr(features, "_AT_ONCE", 40_000)
    monkeypatch.setattr(spelling, "_SECONDS", 1)


def silence(seconds: int, kind: str, rate: int, channels: int) -> bytes:
    made = io.BytesIO()
    with soundfile.SoundFile(made, "w", rate, channels, format=kind) as file:
        for _ in range(seconds):
            file.write(np.zeros((rate, channels), np.float32))
    return made.getvalue()


def most(work: Callable[[], Any]) -> int:
    """Bytes that Python and NumPy hold at once during some work, beyond those before it."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def read(content: bytes, wanted: int) -> int:
    """The number of samples of a file at a rate, none of which is kept."""
    return sum(map(len, sound_of_bytes(content, "a file").blocks(wanted)))


@pytest.mark.parametrize(
    ("kind", "rate", "channels"),
    [
        ("FLAC", 16000, 1),
        ("FLAC", 192_000, 8),
        ("MP3", 44100, 2),
        ("OGG", 16000, 1),
        ("WAV", 48000, 2),
        ("AIFF", 8000, 1),
    ],
)
def test_what_is_read_is_a_block_at_a_time(kind: str, rate: int, channels: int) -> None:
    seconds = 4 if rate > 48000 else 20
    content = silence(seconds, kind, rate, channels)
    # numbers as bytes, as float32, their mean in float64 and in float32, and what is resampled
    bound = 8 * 8 * BLOCK
    assert bound < 4 * seconds * rate
    read(content, 16000)  # imports
    assert most(lambda: read(content, 16000)) < bound


def test_the_lowest_rate_is_resampled_in_parts() -> None:
    content = silence(1000, "WAV", 250, 1)
    assert read(content, 16000) == 1000 * 16000
    # soxr takes some hundreds of samples before it gives what it makes of them
    assert most(lambda: read(content, 16000)) < 4 * 1000 * 16000


@pytest.mark.parametrize("rate", [1, 2, 7, 249])
def test_a_rate_of_no_speech_is_refused(rate: int) -> None:
    """A few kilobytes would be hours."""
    with pytest.raises(InputError, match=f"rate of at least 250 Hz, got {rate}"):
        read(silence(400, "WAV", rate, 1), 16000)
    with pytest.raises(InputError, match=f"rate of at least 250 Hz, got {rate}"):
        lmkernel.Sound(np.ones(3, np.float32), rate).at_rate(16000)


def test_a_sound_that_no_memory_holds_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def resampled(*_: object) -> None:
        raise MemoryError("Unable to allocate 2.65 GiB")

    monkeypatch.setattr("lmkernel.speech.sound_files.resampled", resampled)
    with pytest.raises(InputError, match=r"a file: there is not enough memory .* 2\.65 GiB"):
        read(silence(1, "WAV", 8000, 1), 16000)


def script(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard((280, 40, 290), -0.2, 0.9)
    monkeypatch.setattr(Hearing, "hear", lambda _, memory, *__, **___: [heard] * len(memory.hidden))


@pytest.mark.parametrize("changes", [{}, {"chunked": True}], ids=["one by one", "side by side"])
def test_a_model_of_windows_holds_a_window(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    script(monkeypatch)
    options: dict[str, Any] = {"language": "en", "most_silent": None, "progress": False, **changes}
    contents = {seconds: silence(seconds, "FLAC", 24000, 2) for seconds in (SHORT, LONG)}
    short, long = (
        most(lambda c=contents[s]: lmkernel.transcribe(model, c, **options)) for s in (SHORT, LONG)
    )
    # of the samples that the longer one has more, held whole, a tenth
    assert long - short < 4 * 16000 * (LONG - SHORT) / 10


def test_a_model_that_spells_holds_a_window(tmp_path: Path) -> None:
    model = load(wave_model(tmp_path / "model"))
    contents = {seconds: silence(seconds, "FLAC", 24000, 2) for seconds in (SHORT, LONG)}
    short, long = (
        most(lambda c=contents[s]: lmkernel.transcribe(model, c, progress=False))
        for s in (SHORT, LONG)
    )
    assert long - short < 4 * RATE * (LONG - SHORT) / 10
