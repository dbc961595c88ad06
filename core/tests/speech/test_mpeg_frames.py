"""MP3 files that do not say how long they are, as streams are: nothing of them is lost."""

from __future__ import annotations

import io
import itertools
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from lmkernel.errors import InputError
from lmkernel.speech import mpeg_frames
from lmkernel.speech.mpeg_frames import with_count
from lmkernel.speech.sound_files import read_sound, sound_of_bytes

if TYPE_CHECKING:
    from pathlib import Path

TAG = b"ID3\4\0\0" + bytes((0, 0, 2, 0)) + bytes(256)
"""256 bytes in a tag of ID3."""


def without_count(samples: np.ndarray, rate: int, mode: str) -> bytes:
    """An MP3 file without its first frame, which counts the others."""
    made = io.BytesIO()
    soundfile.write(made, samples, rate, format="MP3", bitrate_mode=mode)
    content = made.getvalue()
    return content[content.index(content[:2], 4) :]


def decoded(content: bytes) -> np.ndarray:
    sound = sound_of_bytes(content, "a file")
    found = np.concatenate([*sound.blocks(sound.rate)])
    assert sound.seconds == len(found) / sound.rate
    return found


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (48000, 1), (8000, 2)])
@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT", "AVERAGE"])
@pytest.mark.parametrize("order", [1, -1], ids=["loud first", "quiet first"])
def test_all_of_a_stream_is_heard(rate: int, channels: int, mode: str, order: int) -> None:
    noise = np.random.default_rng(3).normal(0, 0.3, (6 * rate, channels))
    noise[3 * rate :] *= 1e-4
    found = decoded(without_count(noise[::order], rate, mode))
    # an encoder begins and ends with less than two frames of its own
    assert 6 * rate <= len(found) <= 6 * rate + 2 * 1152
    loud = np.abs(found[: 3 * rate] if order > 0 else found[-3 * rate :]).mean()
    quiet = np.abs(found[-2 * rate :] if order > 0 else found[: 2 * rate]).mean()
    assert loud > 100 * quiet


def test_frames_are_counted_once_for_a_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    content = without_count(np.zeros(90_000), 16000, "VARIABLE")
    counted, count = [], mpeg_frames._count
    monkeypatch.setattr(mpeg_frames, "_count", lambda *of: counted.append(of) or count(*of))
    sound = sound_of_bytes(content, "a file")
    first, second = (np.concatenate([*sound.blocks(sound.rate)]) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert len(counted) == 1


@pytest.mark.parametrize("same_size", [False, True])
def test_a_file_that_is_changed_between_is_counted_again(tmp_path: Path, same_size: bool) -> None:
    path = tmp_path / "a.mp3"
    content = without_count(np.zeros(90_000), 16000, "CONSTANT")
    path.write_bytes(content)
    sound = read_sound(path)
    half = content[: len(content) // 2]
    path.write_bytes(half.ljust(len(content), b"\0") if same_size else half)
    os.utime(path, ns=(1, 1))  # whatever the resolution of the disk's clock is
    with pytest.raises(InputError, match="the file was changed while it was read"):
        list(sound.blocks(sound.rate))


def test_tags_before_and_behind_are_no_sound() -> None:
    plain = without_count(np.random.default_rng(4).normal(0, 0.1, 16000), 16000, "VARIABLE")
    right = decoded(plain)
    for around in ((TAG, b""), (TAG + TAG, b""), (b"", b"TAG" + bytes(125))):
        np.testing.assert_array_equal(decoded(plain.join(around)), right)


def test_other_files_are_given_back() -> None:
    made = io.BytesIO()
    soundfile.write(made, np.zeros(9000), 16000, format="MP3")
    counted = io.BytesIO(made.getvalue())
    for file in (counted, io.BytesIO(b""), io.BytesIO(b"OggS" + bytes(99)), io.BytesIO(TAG)):
        assert with_count(file) is file


def test_what_is_put_before_a_file_is_read_like_any_file() -> None:
    content = without_count(np.zeros(9000), 16000, "CONSTANT")
    file = with_count(io.BytesIO(TAG + content))
    whole = file.read()
    assert whole.endswith(content)
    assert b"Xing\0\0\0\1" in whole[: -len(content)]
    for begin, end in itertools.pairwise(range(0, len(whole), 97)):
        assert file.seek(begin) == begin
        assert file.read(end - begin) == whole[begin:end]
    assert file.seek(-5, 2) == len(whole) - 5
    assert file.read() == whole[-5:]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"ID3\4\0\0" + bytes(4), "expected at most 16 tags before a sound"),
        (b"\xff\xfb\x90\x00" + b"\xff" * 300_000, "too much between its frames"),
        (b"\xff\xfb\x90\x00" + bytes(413) + b"\xff\xfb\x94\x00" * 300_000, "too much between"),
    ],
    ids=["tags", "ones", "frames of another kind"],
)
def test_a_file_of_nothing_but_beginnings_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        with_count(io.BytesIO(content * (20 if content[:3] == b"ID3" else 1)))
