"""What is heard beside transformers' ``generate``: the same tokens and times, on every backend.

Constraint: weights are random, so that a model writes anything; nothing is near a tie. ``tox``
tries the default backend; every one with ``LMKERNEL_FAMILIES=all``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from made_sounds import vowels
from small_whisper import speech_model
from transformers import WhisperForConditionalGeneration
from transformers.models.whisper.tokenization_whisper import _find_longest_common_sequence

from lmkernel import Sound, load
from lmkernel.speech.chunks import joined_tokens
from lmkernel.speech.features import log_mel, one_window
from lmkernel.speech.options import SpeechOptions
from lmkernel.speech.transcriber import Transcriber

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = os.environ.get("LMKERNEL_FAMILIES") == "all"
BACKENDS = ("numpy", "torch", "tensorflow", "jax", "mlx") if EVERYTHING else ("numpy",)
DRAWN = np.random.default_rng(3)
NOISE = DRAWN.normal(0, 0.2, 46_074) * np.sin(np.arange(46_074) / 3000)
LONG = {"noise": NOISE, "vowels": np.resize(vowels(1.3), 38_090)}
UNCHECKED: dict[str, Any] = {
    "temperatures": (0.0,),
    "most_repetitive": None,
    "least_log_prob": None,
    "most_silent": None,
}
PROMPT = "the cat"
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as it sounds": ({}, {"task": "transcribe"}),
    "translated": (
        {"language": "de", "task": "translate"},
        {"language": "de", "task": "translate"},
    ),
    "beams": ({"num_beams": 3, "language": "fr"}, {"num_beams": 3, "language": "fr"}),
    "conditioned": ({"condition": True}, {"task": "transcribe", "condition_on_prev_tokens": True}),
    "prompted": ({"prompt": PROMPT}, {"task": "transcribe"}),
    "prompted and conditioned": (
        {"prompt": PROMPT, "condition": True},
        {"task": "transcribe", "condition_on_prev_tokens": True},
    ),
    "checked": (
        {"most_repetitive": 1.35, "least_log_prob": -2.6, "most_silent": 1e-3},
        {
            "task": "transcribe",
            "temperature": (0.0,),
            "compression_ratio_threshold": 1.35,
            "logprob_threshold": -2.6,
            "no_speech_threshold": 1e-3,
        },
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech_model(tmp_path_factory.mktemp("speech") / "model")


@pytest.fixture(scope="module")
def witness(folder: Path) -> Any:
    return WhisperForConditionalGeneration.from_pretrained(folder).eval()


@pytest.fixture(scope="module", params=BACKENDS)
def model(folder: Path, request: pytest.FixtureRequest) -> Any:
    return load(folder, backend=request.param)


def sound_of(samples: np.ndarray) -> Sound:
    return Sound(samples.astype(np.float32), 16000)


def prompt_ids(model: Any) -> list[int]:
    """As transformers' processor makes them of a text."""
    tokenizer = model.tokenizer
    return tokenizer.encode(f"<|startofprev|> {PROMPT}", special_tokens=False)


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("case", CASES)
def test_a_long_sound_is_heard_alike(case: str, name: str, model: Any, witness: Any) -> None:
    ours, theirs = CASES[case]
    made = Transcriber(model, SpeechOptions(**{**UNCHECKED, **ours}))
    frames = log_mel(LONG[name], made.settings)
    language, *parts = made.parts(sound_of(LONG[name]))
    if "prompt" in ours:
        theirs = {**theirs, "prompt_ids": torch.tensor(prompt_ids(model))}
    with torch.inference_mode():
        out = witness.generate(
            torch.tensor(frames.T[None]), return_timestamps=True, return_segments=True, **theirs
        )
    expected = out["segments"][0]
    assert [p.tokens for p in parts] == [tuple(s["tokens"].tolist()) for s in expected]
    times = [(float(s["start"]), float(s["end"])) for s in expected]
    np.testing.assert_allclose([(p.begin * 0.02, p.end * 0.02) for p in parts], times, atol=1e-9)
    assert language in {"en", "de", "fr"}


def test_one_window_without_times_is_heard_alike(model: Any, witness: Any) -> None:
    made = Transcriber(model, SpeechOptions(**UNCHECKED, timestamps=False))
    frames = one_window(NOISE[:16_000], made.settings)
    _, part = made.parts(sound_of(NOISE[:16_000]))
    with torch.inference_mode():
        features = torch.tensor(frames.T[None])
        found = witness.generate(features, task="transcribe", return_timestamps=False)
    begun = [int(token) for token in found[0] if token != witness.generation_config.eos_token_id]
    assert begun[-len(part.tokens) :] == list(part.tokens)


def test_each_token_has_the_same_time(model: Any, witness: Any) -> None:
    heads = [[0, 1], [1, 3], [2, 0]]
    model.origin.files.generation_config["alignment_heads"] = heads
    witness.generation_config.alignment_heads = heads
    options = {**UNCHECKED, "words": True, "language": "de", "task": "translate"}
    made = Transcriber(model, SpeechOptions(**options))
    frames = one_window(NOISE[:16_000], made.settings)
    _, *parts = made.parts(sound_of(NOISE[:16_000]))
    with torch.inference_mode():
        out = witness.generate(
            torch.tensor(frames.T[None]),
            attention_mask=torch.ones(1, len(frames), dtype=torch.long),
            language="de",
            task="translate",
            return_timestamps=True,
            return_token_timestamps=True,
            return_segments=True,
        )
    assert len(parts) == len(out["segments"][0]) > 1
    for part, expected in zip(parts, out["segments"][0], strict=True):
        got = np.array(part.steps) * 0.02
        np.testing.assert_allclose(got, expected["token_timestamps"].numpy(), atol=1e-6)


def test_windows_are_joined_alike() -> None:
    drawn = np.random.default_rng(5)
    for _ in range(200):
        whole = drawn.integers(0, 9, 30).tolist()
        rows = [whole[:14], whole[10:24], whole[20:]]
        for row in rows:  # some tokens are heard otherwise
            row[int(drawn.integers(len(row)))] = 77
        assert joined_tokens(rows) == _find_longest_common_sequence(rows)
