"""Digits and short sentences by espeak-ng in many voices, and a small model that may learn them."""

from __future__ import annotations

import io
import json
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from made_sounds import wave_bytes

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.speech.sound_files import sound_of_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["HELD_OUT", "VOICES", "new_speller", "speak_all"]

RATE = 8000
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SUBJECTS = ("the cat", "the dog", "a bird", "my friend", "the small child")
VERBS = ("sees", "finds", "likes", "wants", "brings")
OBJECTS = ("the red ball", "a green box", "the old house", "some water", "two apples")
WORDS = sorted({*DIGITS, *" ".join((*SUBJECTS, *VERBS, *OBJECTS)).split()})
VOICES = (
    *("m1", "m2", "m4", "m5", "m6", "m8", "f1", "f3", "f4", "Alex", "Andy", "Annie", "Diogo"),
    *("Gene", "Henrique", "Lee", "Mario", "Max", "Michael", "belinda", "ed", "grandma", "grandpa"),
    *("iven", "john", "linda", "miguel", "paul", "robert", "shelby", "steph", "travis", "victor"),
    *("Alicia", "Andrea", "Denis", "Hugo", "Jacky", "Marco", "Mike", "antonio", "aunty", "boris"),
    *("caleb", "david", "edward", "gustave", "marcelo", "michel", "norbert", "pedro", "quincy"),
    *("rob", "sandro", "zac"),
)
"""Those that are learnt from."""
HELD_OUT = ("m3", "m7", "f2", "f5", "adam", "anika", "benjamin", "pablo")
"""Those that are heard for the first time when it is asked what was learnt."""
LETTERS = ["<pad>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz"]
_SPEEDS, _PITCHES = (110, 220), (0, 99)
"""Words a minute, and heights of 99, that are learnt from."""
_HELD_SPEEDS, _HELD_PITCHES = (130, 200), (20, 80)
_STRETCHES = (0.85, 1.2)
"""What is learnt from is drawn out, or pressed together, as by longer and shorter throats."""
_AT_ONCE = 8
_FILTERS, _WINDOW = 40, 160
_LOWEST, _HIGHEST = 100.0, 3800.0


def _sentence(drawn: random.Random) -> str:
    """One to four digits, or a sentence."""
    if drawn.random() < 0.5:
        return " ".join(drawn.choice(DIGITS) for _ in range(drawn.randint(1, 4)))
    return " ".join(drawn.choice(part) for part in (SUBJECTS, VERBS, OBJECTS))


def _word(drawn: random.Random) -> str:
    """A word, sometimes two."""
    return " ".join(drawn.choice(WORDS) for _ in range(1 if drawn.random() < 0.8 else 2))


def _speak(text: str, voice: str, speed: int, pitch: int, stretch: float) -> NDArray[np.float32]:
    """The samples of a text at `RATE`, so many times as long as it was spoken."""
    asked = ["espeak-ng", "--stdout", "-v", f"en-us+{voice}", "-s", f"{speed}", "-p", f"{pitch}"]
    made = subprocess.run([*asked, text], check=True, capture_output=True).stdout
    return np.concatenate([*sound_of_bytes(made, "espeak-ng").blocks(round(RATE * stretch))])


def speak_all(folder: Path, name: str, count: int, *, single: bool = False, seed: int) -> Path:
    """A file of rows and their sounds: voices, speeds and pitches that differ.

    Args:
        folder: where they are made.
        name: of the file; that of ``"held_out"`` is spoken by other voices.
        count: number of rows.
        single: whether words are spoken alone.
        seed: of what is drawn.
    """
    drawn = random.Random(seed)  # noqa: S311 - texts for a test
    held = name == "held_out"
    asked = []
    for number in range(count):
        text = (_word if single else _sentence)(drawn)
        voice = HELD_OUT[number % len(HELD_OUT)] if held else drawn.choice(VOICES)
        speeds, pitches = (_HELD_SPEEDS, _HELD_PITCHES) if held else (_SPEEDS, _PITCHES)
        stretch = 1.0 if held else drawn.uniform(*_STRETCHES)
        asked.append((text, voice, drawn.randint(*speeds), drawn.randint(*pitches), stretch))
    (folder / name).mkdir(parents=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for number, samples in enumerate(pool.map(lambda one: _speak(*one), asked)):
            content = wave_bytes(samples[:, None], RATE)
            (folder / name / f"{number}.wav").write_bytes(content)
    file = folder / f"{name}.jsonl"
    out = io.StringIO()
    for number, (text, *_) in enumerate(asked):
        out.write(json.dumps({"sound": f"{name}/{number}.wav", "text": text}) + "\n")
    file.write_text(out.getvalue())
    return file


def new_speller(folder: Path, seed: int) -> Path:
    """A folder of a small model that has learnt nothing.

    Its first convolution begins as windows of waves whose frequencies lie as mel bands do, sine
    beside cosine, so that it need not be found how sounds are told apart by frequency.
    """
    width = 96
    described: dict[str, Any] = {
        "model_type": "wav2vec2",
        "architectures": ["Wav2Vec2ForCTC"],
        "vocab_size": len(LETTERS),
        "hidden_size": width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 2 * width,
        "conv_dim": [2 * _FILTERS, width],
        "conv_kernel": [_WINDOW, 8],
        "conv_stride": [40, 4],
        "conv_bias": True,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "final_dropout": 0.0,
    }
    family = find_family("wav2vec2", "a test")
    model = Model(load_backend("numpy"), family.read(HfConfig(described)))
    values = model.initial(seed)
    values["embedding.layers.0.weight"] = _waves()
    write_directory(
        folder,
        config=described,
        tensors=from_ours(values, family.rules(model.config), model.declare()),
        preprocessor={"sampling_rate": RATE, "do_normalize": True, "return_attention_mask": True},
    )
    numbers = {letter: number for number, letter in enumerate(LETTERS)}
    (folder / "vocab.json").write_text(json.dumps(numbers))
    return folder


def _waves() -> NDArray[np.float32]:
    """Cosines and sines in Hann's window, of length 1, ``(2 · filters, 1, window)``."""
    ends = 2595 * np.log10(1 + np.array([_LOWEST, _HIGHEST]) / 700)
    hertz = 700 * (10 ** (np.linspace(*ends, _FILTERS) / 2595) - 1)
    angles = 2 * np.pi * hertz[:, None] * (np.arange(_WINDOW) - _WINDOW / 2) / RATE
    found = np.hanning(_WINDOW) * np.concatenate([np.cos(angles), np.sin(angles)])
    found /= np.sqrt((found**2).sum(1, keepdims=True))
    return found[:, None].astype(np.float32)
