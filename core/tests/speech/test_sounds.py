"""Sounds from files, and files that are none."""

from __future__ import annotations

import errno
import io
import os
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from made_sounds import SOUNDS, vowels, wave_bytes

from lmkernel.errors import InputError, MissingDependencyError
from lmkernel.speech import sound_files, sounds
from lmkernel.speech.sound_files import StoredSound, kept_stream, read_sound, sound_of_bytes
from lmkernel.speech.sounds import Sound, blocks_of

ROWS = np.stack([vowels(0.5), vowels(0.5, 200)], 1)


def whole(stored: StoredSound) -> Sound:
    """All of a sound that is read block by block."""
    return Sound(np.concatenate([*stored.blocks(stored.rate)]), stored.rate)


def in_format(kind: str, subtype: str | None = None) -> bytes:
    made = io.BytesIO()
    soundfile.write(made, ROWS, 44100, format=kind, subtype=subtype)
    return made.getvalue()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_whole_numbers_of_a_wave_file_become_shares_of_one(width: int) -> None:
    found = whole(sound_of_bytes(wave_bytes(ROWS, 44100, width), "a file"))
    assert found.rate == 44100
    step = 2.0 ** (1 - 8 * width)
    np.testing.assert_allclose(found.samples, ROWS.mean(1), atol=2 * step + 1e-7)


@pytest.mark.parametrize(
    ("kind", "subtype", "off"),
    [
        ("FLAC", None, 1e-4),
        ("OGG", None, 0.1),
        ("MP3", None, 0.1),
        ("WAV", "FLOAT", 1e-7),
        ("WAVEX", "PCM_16", 1e-4),
        ("AIFF", "PCM_24", 1e-6),
    ],
)
def test_other_formats_are_read_by_the_library(kind: str, subtype: str | None, off: float) -> None:
    found = whole(sound_of_bytes(in_format(kind, subtype), "a file"))
    assert found.rate == 44100
    np.testing.assert_allclose(found.samples[: len(ROWS)], ROWS.mean(1), atol=off)


def test_another_rate_is_the_same_sound() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100).astype(np.float32)
    found = Sound(tone, 44100).at_rate(16000)
    exact = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert len(found.samples) == 16000
    np.testing.assert_allclose(found.samples[500:-500], exact[500:-500], atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 192_000])
@pytest.mark.parametrize("block", [1, 777, 1 << 20])
def test_another_rate_is_the_same_bits_in_blocks_as_at_once(
    rate: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(5).normal(0, 0.1, 5_003).astype(np.float32)
    monkeypatch.setattr(sounds, "BLOCK", block)
    found = Sound(noise, rate).at_rate(16000).samples
    np.testing.assert_array_equal(found, soxr.resample(noise, rate, 16000))


def test_what_a_lower_rate_cannot_hold_is_filtered_away() -> None:
    high = np.sin(2 * np.pi * 15000 * np.arange(44100) / 44100).astype(np.float32)
    assert np.abs(Sound(high, 44100).at_rate(16000).samples[500:-500]).max() < 1e-4


def test_one_sample_is_a_sound_at_any_rate() -> None:
    for rate in (8000, 16000, 44100):
        assert len(Sound(np.ones(1, np.float32), rate).at_rate(16000).samples) >= 1


def test_the_made_sounds_survive_a_file() -> None:
    for samples, rate in SOUNDS.values():
        found = whole(sound_of_bytes(wave_bytes(samples[:, None], rate), "a file"))
        np.testing.assert_allclose(found.samples, samples, atol=2**-14)


def test_channels_that_are_infinite_are_refused() -> None:
    made = io.BytesIO()
    both = np.array([[np.inf, -np.inf]] * 9, np.float32)
    soundfile.write(made, both, 16000, format="WAV", subtype="FLOAT")
    with pytest.raises(InputError, match=r"^a file: expected finite samples"):
        whole(sound_of_bytes(made.getvalue(), "a file"))


def with_field(content: bytes, at: int, form: str, value: int) -> bytes:
    return content[:at] + struct.pack(form, value) + content[at + struct.calcsize(form) :]


WAVE = wave_bytes(ROWS[:4000], 16000)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"hello, this is a text", "something else"),
        (b"%PDF-1.7" + bytes(100), "something else"),
        (WAVE[:-100], "ends early: expected 4000 samples, got 3975"),
        (WAVE[:46], "ends early"),
        (WAVE[:20], "no WAV file"),
        (wave_bytes(np.zeros((0, 1)), 16000), "at least one sample"),
        (with_field(WAVE, 24, "<I", 0), "a rate of 1 to"),
        (with_field(WAVE, 24, "<I", 1 << 31), "a rate of 1 to"),
        (with_field(WAVE, 22, "<H", 0), "no WAV file"),
        (with_field(WAVE, 34, "<H", 5 * 8), "8, 16, 24 or 32 bits"),
        (in_format("FLAC")[:300], "no sound that can be read|ends early"),
        (in_format("FLAC")[:-3000], "no sound that can be read|ends early"),
        (in_format("OGG")[:40], "no sound that can be read|ends early"),
        (b"ID3" + bytes(300), "no sound that can be read"),
        (WAVE[:12] + b"JUNK\xff\xff\xff\xff", "no WAV file"),
        (WAVE[:12] + (b"JUNK" + bytes(4)) * 1000 + WAVE[12:], "no WAV file"),
        # of 35 bits that say how many samples there are, more than a process has memory for
        (with_field(in_format("FLAC"), 22, ">I", 4_000_000_000), "ends early|can be read|at most"),
    ],
    ids=range(18),
)
def test_what_is_no_sound_is_refused_with_its_name(content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=f"^a file: .*({said})"):
        whole(sound_of_bytes(content, "a file"))


def silence(seconds: float, rate: int, kind: str = "FLAC") -> bytes:
    """Little data of a long sound."""
    made = io.BytesIO()
    soundfile.write(made, np.zeros(round(seconds * rate), np.float32), rate, format=kind)
    return made.getvalue()


@pytest.mark.parametrize("kind", ["FLAC", "WAV"])
def test_a_small_file_of_a_long_sound_is_refused_before_it_is_decoded(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = silence(3, 8000, kind)
    assert sound_of_bytes(content, "a file", most_seconds=3).seconds == 3
    monkeypatch.setattr(sound_files, "_one_channel", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match=r"^a file: expected 2 s of sound at most.*got 3 s"):
        sound_of_bytes(content, "a file", most_seconds=2)


def test_a_high_rate_has_no_more_samples_than_a_usual_one() -> None:
    sound_of_bytes(silence(1, 48000), "a file", most_seconds=1)
    with pytest.raises(InputError, match=r"expected 1 s of sound at most.*1 s at 96000 Hz"):
        sound_of_bytes(silence(1, 96000), "a file", most_seconds=1)


def test_blocks_that_are_decoded_make_the_whole_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = sound_of_bytes(in_format("FLAC"), "a file")
    at_once = whole(stored)
    monkeypatch.setattr(sound_files, "BLOCK", 2 * 999)
    assert {len(one) for one in stored.blocks(44100)} == {999, len(ROWS) % 999}
    np.testing.assert_array_equal(whole(stored).samples, at_once.samples)


def test_a_stream_without_a_size_is_read_to_its_end() -> None:
    endless = with_field(with_field(WAVE, 40, "<I", 0xFFFFFFFF), 4, "<I", 0xFFFFFFFF)
    found = sound_of_bytes(endless, "a pipe")
    assert found.seconds == 0.25
    np.testing.assert_array_equal(
        whole(found).samples, whole(sound_of_bytes(WAVE, "a file")).samples
    )


def test_a_pipe_is_kept_as_long_as_it_is_listened_to() -> None:
    with kept_stream(io.BytesIO(WAVE), "a pipe") as sound:
        first, second = whole(sound).samples, whole(sound).samples
    np.testing.assert_array_equal(first, whole(sound_of_bytes(WAVE, "a file")).samples)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("content", "said", "read"),
    [
        (b"", "an empty file", 0),
        (b"hello" + bytes(1 << 22), "something else", 1 << 20),
        (WAVE + bytes(1 << 22), "expected at most 100 bytes", 1 << 20),
    ],
    ids=["empty", "other", "long"],
)
def test_a_pipe_of_no_use_is_read_no_further(
    content: bytes, said: str, read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_files, "_MOST_BYTES", 100)
    stream = io.BytesIO(content)
    with pytest.raises(InputError, match=f"^a pipe: .*{said}"), kept_stream(stream, "a pipe"):
        pytest.fail("it was taken")
    assert stream.tell() == read


class Failing(io.BytesIO):
    """A device that fails after its first bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if not (data := super().read(size)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return data

    read1 = read


def test_a_pipe_that_fails_is_told_by_its_name() -> None:
    said = "^a pipe: cannot be read: Input/output error$"
    with pytest.raises(InputError, match=said), kept_stream(Failing(WAVE), "a pipe"):
        pytest.fail("it was taken")


def test_samples_of_a_device_that_fails() -> None:
    blocks = blocks_of(Failing(bytes(64)), 16000, 16000)
    assert len(next(blocks)) == 32
    with pytest.raises(InputError, match=r"^the stream of samples cannot be read: Input/output"):
        next(blocks)


def test_a_pipe_that_cannot_be_kept_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    full = partial(Path("/dev/full").open, "w+b")
    monkeypatch.setattr(sound_files.tempfile, "TemporaryFile", full)
    said = "^a pipe: cannot be kept in a file: No space left on device$"
    with pytest.raises(InputError, match=said), kept_stream(io.BytesIO(WAVE), "a pipe"):
        pytest.fail("it was taken")


def test_a_file_that_is_changed_between_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(WAVE)
    sound = read_sound(path)
    path.write_bytes(wave_bytes(ROWS[:3000], 16000))
    with pytest.raises(InputError, match=r"a\.wav: the file was changed"):
        whole(sound)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            read_sound(path)


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        (np.zeros(3), 0, "a rate"),
        (np.zeros(3), 16000.0, "a rate"),
        (np.zeros((3, 2)), 16000, "shape"),
        (np.zeros(3, int), 16000, "floating"),
        (np.array([np.nan]), 16000, "finite"),
    ],
)
def test_samples_of_a_program_are_checked(samples: np.ndarray, rate: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Sound(samples, rate)


def test_the_extra_is_named_where_a_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(sounds.importlib, "import_module", absent)
    for use in (
        lambda: sound_of_bytes(in_format("FLAC"), "x"),
        lambda: Sound(np.ones(2), 8000).at_rate(9),
    ):
        with pytest.raises(MissingDependencyError, match=r"lmkernel\[speech\]"):
            use()


def test_a_list_of_samples_becomes_an_array() -> None:
    found = Sound([0.1, 0.2], 16000).samples  # type: ignore[arg-type]  # what is tested
    np.testing.assert_array_equal(found, np.array([0.1, 0.2], np.float32))
    assert found.dtype == np.float32


@pytest.mark.parametrize("samples", [[0.1, [0.2]], [1e300], None, "sound"])
def test_what_is_no_list_of_samples_is_refused(samples: Any) -> None:
    with pytest.raises(InputError, match=r"expected (finite |floating )?samples"):
        Sound(samples, 16000)
