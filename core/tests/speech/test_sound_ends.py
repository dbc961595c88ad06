"""Files of sound that hold fewer bytes than they announce, whatever the format."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from made_sounds import vowels

from lmkernel.errors import InputError
from lmkernel.speech.sound_files import sound_of_bytes

RATE = 16000
ROWS = np.stack([vowels(0.5), vowels(0.5, 200)], 1)
FORMATS = [
    *(("WAV", kind) for kind in ("FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM")),
    *(("WAVEX", "PCM_16"), ("WAVEX", "PCM_24"), ("WAVEX", "FLOAT"), ("RF64", "PCM_16")),
    *(("AIFF", "PCM_16"), ("AIFF", "ULAW"), ("AU", "PCM_16"), ("AU", "FLOAT"), ("CAF", "PCM_16")),
    *(("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)),
]


def samples_of(content: bytes) -> int:
    """How many samples a file has, all of them decoded."""
    sound = sound_of_bytes(content, "a file")
    return sum(len(block) for block in sound.blocks(sound.rate))


@pytest.mark.parametrize(("kind", "subtype"), FORMATS, ids=str)
def test_a_file_that_is_cut_is_refused_wherever_that_is(kind: str, subtype: str | None) -> None:
    made = io.BytesIO()
    soundfile.write(made, ROWS, RATE, format=kind, subtype=subtype)
    content = made.getvalue()
    assert samples_of(content) >= len(ROWS)
    assert samples_of(content + bytes(100)) == samples_of(content)
    for end in {*np.linspace(13, len(content) - 3, 40, dtype=int).tolist(), len(content) - 1}:
        with pytest.raises(InputError, match=r"^a file: .*(ends early|can be read|at least one)"):
            samples_of(content[:end])


def piped(size: int, coded: int, channels: int, width: int) -> bytes:
    """A thousand rows behind a header that was written before they were counted."""
    row = channels * width
    told = struct.pack("<HHIIHH", coded, channels, RATE, RATE * row, row, 8 * width)
    begin = b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEfmt " + struct.pack("<I", 16) + told
    return begin + b"data" + struct.pack("<I", size) + bytes(1000 * row)


@pytest.mark.parametrize("size", [0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF], ids=hex)
@pytest.mark.parametrize(
    ("coded", "channels", "width"), [(1, 1, 2), (1, 1, 3), (1, 3, 2), (1, 6, 2), (3, 1, 4)]
)
def test_what_a_pipe_does_not_announce_is_read_to_its_end(
    size: int, coded: int, channels: int, width: int
) -> None:
    assert samples_of(piped(size, coded, channels, width)) == 1000
