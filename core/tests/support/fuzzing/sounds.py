"""Sounds, and the formats of models that hear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soundfile
from made_sounds import vowels
from small_waves import wave_model
from small_whisper import speech_model

from fuzzing.formats import Format
from fuzzing.models import load
from lmkernel.speech.sound_files import read_sound
from lmkernel.speech.sounds import Sound
from lmkernel.speech.verbs import transcribe

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMATS"]

RATE = 8000
SAMPLES = vowels(0.2, rate=RATE).astype(np.float32)
ROWS = np.stack([SAMPLES, -SAMPLES / 2], 1)
KINDS = {
    "plain.wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "adpcm.wav": ("WAV", "IMA_ADPCM"),
    "extensible.wav": ("WAVEX", "PCM_24"),
    "long.wav": ("RF64", "PCM_16"),
    "a.flac": ("FLAC", "PCM_16"),
    "a.ogg": ("OGG", "VORBIS"),
    "a.opus": ("OGG", "OPUS"),
    "a.mp3": ("MP3", None),
    "a.aiff": ("AIFF", "PCM_16"),
    "a.au": ("AU", "PCM_16"),
    "a.caf": ("CAF", "PCM_16"),
}
"""What libsndfile calls each file's format and coding."""


def write_sounds(folder: Path) -> None:
    for name, (kind, coding) in KINDS.items():
        soundfile.write(folder / name, ROWS, RATE, format=kind, subtype=coding)


def use_sounds(folder: Path) -> object:
    """Each is heard to its end."""
    sounds = [read_sound(folder / name) for name in KINDS]
    return [sum(map(len, sound.blocks(sound.rate))) for sound in sounds]


def use_ears(folder: Path) -> object:
    """Loaded, and asked what is said."""
    return transcribe(load(folder), Sound(SAMPLES, RATE), progress=False).text


def write_whisper(folder: Path) -> None:
    speech_model(folder)


def write_speller(folder: Path) -> None:
    wave_model(folder)


FORMATS = (
    Format("sounds", write_sounds, tuple(KINDS), use_sounds),
    Format(
        "hearing",
        write_whisper,
        ("preprocessor_config.json", "generation_config.json"),
        use_ears,
    ),
    Format(
        "spelling",
        write_speller,
        ("preprocessor_config.json", "vocab.json"),
        use_ears,
    ),
)
