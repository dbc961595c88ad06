"""Something real is learnt: a small Wav2Vec2 writes what voices say that it has never heard.

Constraint: espeak-ng speaks, so that every text is known; the measure is jiwer's word error rate.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from spoken_words import HELD_OUT, VOICES, new_speller, speak_all

import lmkernel as lk
from lmkernel.rewriting.scores import score_texts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of words, of sentences, and of what is held out."""
    return speak_files(tmp_path_factory.mktemp("spoken"))


def speak_files(folder: Path) -> dict[str, Path]:
    return {
        "words": speak_all(folder, "words", 1000, single=True, seed=1),
        "sentences": speak_all(folder, "sentences", 8000, seed=2),
        "held out": speak_all(folder, "held_out", 160, seed=3),
    }


def error_rate(backend: str, spoken: dict[str, Path], folder: Path) -> float:
    """The word error rate on held-out voices, in percent, of a model that a backend has trained.

    Words are learnt by themselves first: where a text has few letters, it is soon found out when
    each is spoken.
    """
    model: Path | str = new_speller(folder / "new", seed=5)
    for name, steps, rate, warmup in (("words", 400, 2e-3, 80), ("sentences", 4000, 2e-3, 20)):
        run = lk.finetune(
            model,
            spoken[name],
            out=folder / name,
            objective="transcripts",
            steps=steps,
            batch=16,
            learning_rate=rate,
            backend=backend,
            settings={
                "schedule.warmup": warmup,
                "optimizer.beta2": 0.98,
                "training.evaluate_every": 0,
                "training.checkpoint_every": 0,
                "data.validation_share": 0.02,
            },
            progress=False,
        )
        model = run.model
    # asked on another backend than it was learnt on
    asked = lk.load(model, backend="numpy")
    rows = [json.loads(line) for line in spoken["held out"].read_text().splitlines()]
    base = spoken["held out"].parent
    texts = [lk.transcribe(asked, base / row["sound"], progress=False).text for row in rows]
    return score_texts(texts, [row["text"] for row in rows], ["wer"])["wer"]


def test_no_voice_is_both_learnt_and_held_out() -> None:
    assert not set(VOICES) & set(HELD_OUT)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_held_out_voices_are_written_down(
    backend: str, spoken: dict[str, Path], tmp_path: Path
) -> None:
    rate = error_rate(backend, spoken, tmp_path)
    assert rate < 5, f"expected a word error rate below 5 %, got {rate:.1f} %"
