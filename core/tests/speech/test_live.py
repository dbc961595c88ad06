"""Captions of a sound that goes on: what settles, when, and that nothing is lost or said twice."""

from __future__ import annotations

import io
import itertools
import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from made_sounds import vowels

from lmkernel.cli.main import main
from lmkernel.errors import InputError
from lmkernel.speech.hearing import Heard, Hearing
from lmkernel.speech.live import Caption, Captions
from lmkernel.speech.options import SpeechOptions
from lmkernel.speech.outcome import Attempt
from lmkernel.speech.segments import Part
from lmkernel.speech.sounds import blocks_of
from lmkernel.speech.transcriber import Transcriber

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lmkernel import LanguageModel

ONCE: dict[str, Any] = {"temperatures": (0.0,), "most_silent": None, "max_new_tokens": 6}


def heard(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch, script: Sequence[list[int]], blocks: int
) -> tuple[list[Caption], Captions]:
    """Captions of blocks of 0.2 s, where what is heard in each attempt is in a script."""
    said: Iterator[list[int]] = iter(script)
    monkeypatch.setattr(Hearing, "hear", lambda *_, **__: [Heard(tuple(next(said)), -0.1, 1.0)])
    transcriber = Transcriber(model, SpeechOptions(language="en", most_silent=None))
    captions = Captions(transcriber, every=0.2)
    return list(captions.hear([np.zeros(3200, np.float32)] * blocks)), captions


def test_a_part_settles_when_it_was_heard_twice(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    t = model.tokenizer.token_id("<|0.00|>")
    assert t is not None
    found, _ = heard(
        model,
        monkeypatch,
        [
            [t, 65],
            [t, 65, t + 8, t + 8, 66],  # 0.16 s of 0.4 s
            [t, 67, t + 15, t + 15],
            [t, 67, t + 15],
        ],
        3,
    )
    texts = [(one.segment.text, one.settled, round(one.segment.end, 2)) for one in found]
    a, c = (model.decode([i]) for i in (65, 67))
    assert texts[:2] == [(a, False, 0.2), (a, True, 0.16)]
    assert texts[2] == (c, False, 0.46)
    assert texts[3] == (c, True, 0.46)
    assert found[1].heard == pytest.approx(0.4)
    assert found[1].delay == pytest.approx(0.24)


def test_other_words_do_not_settle(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    t = model.tokenizer.token_id("<|0.00|>")
    assert t is not None
    script = [[t, 65 + i, t + 2, t + 2] for i in range(3)]
    found, _ = heard(model, monkeypatch, [*script, [t, 80, t + 2]], 3)
    assert [one.settled for one in found] == [False, False, False, True]


def test_a_full_window_settles_and_memory_does_not_grow(model: LanguageModel) -> None:
    captions = Captions(Transcriber(model, SpeechOptions(**ONCE)), every=0.5)
    sound = np.resize(vowels(1.3), 80_000).astype(np.float32)
    most = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal most
        for begin in range(0, len(sound), 4000):
            most = max(most, len(captions._kept))
            yield sound[begin : begin + 4000]

    found = [one for one in captions.hear(blocks()) if one.settled]
    assert most <= 16_000
    assert len(captions._kept) == 0
    times = [(one.segment.begin, one.segment.end) for one in found]
    assert all(b[0] >= a[0] for a, b in itertools.pairwise(times))
    assert times[-1][1] <= 5.0
    assert all(one.delay <= 2 for one in found)


def test_silence_is_left_behind(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Transcriber, "heard", lambda *_: (None, Attempt(0.0, 0.0, 0.0, 1.0)))
    captions = Captions(Transcriber(model, SpeechOptions()), every=0.5)
    assert list(captions.hear([np.zeros(5000, np.float32)] * 9)) == []
    assert len(captions._kept) == 0


@pytest.mark.parametrize("every", [0, -1, 31, float("nan")])
def test_a_time_that_makes_no_sense(model: LanguageModel, every: float) -> None:
    with pytest.raises(InputError, match="every: expected above 0"):
        Captions(Transcriber(model, SpeechOptions()), every=every)


def as_bytes(samples: np.ndarray) -> bytes:
    return np.round(samples * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize(("rate", "count"), [(16000, 20_001), (44100, 7256)])
def test_a_stream_is_read_at_any_rate(rate: int, count: int) -> None:
    sound = 0.5 * np.sin(np.arange(20_001) / 30)
    stream: Any = io.BufferedReader(io.BytesIO(as_bytes(sound) + b"\x01"), 999)  # type: ignore[arg-type]  # which is raw, too
    found = np.concatenate(list(blocks_of(stream, rate, 16000)))
    assert abs(len(found) - count) <= 1
    if rate == 16000:
        np.testing.assert_allclose(found, sound, atol=1e-4)


def test_the_command_prints_captions_with_their_delay(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(as_bytes(np.resize(vowels(1.3), 30_000))))
    monkeypatch.setattr(sys, "stdin", stdin)
    arguments = ["--live", "--every", "0.5", "--format", "json", "--max-new-tokens", "4"]
    assert main(["transcribe", str(folder), "-", *arguments]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines
    assert all(one["delay"] == round(one["heard"] - one["end"], 3) for one in lines)


@pytest.mark.parametrize("more", [["a.wav", "--live"], ["-", "--live", "--chunked"]])
def test_the_command_hears_a_pipe_alone(
    folder: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(folder), *more]) == 1
    assert "--live: expected -" in capsys.readouterr().err


def test_a_prompt_is_told_in_each_attempt(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []

    def hear(_: Hearing, __: Any, prompt: list[int], **___: Any) -> list[Heard]:
        asked.append(prompt)
        return [Heard((65,), -0.1, 1.0)]

    monkeypatch.setattr(Hearing, "hear", hear)
    made = Transcriber(model, SpeechOptions(language="en", prompt="the cat", most_silent=None))
    list(Captions(made, every=0.2).hear([np.zeros(3200, np.float32)] * 2))
    told = made.context(made.prompt)
    assert len(told) > 1
    assert [prompt[: len(told)] for prompt in asked] == [told] * len(asked)


@pytest.mark.parametrize("condition", [False, True])
def test_what_has_settled_is_told_to_the_next_attempt(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch, condition: bool
) -> None:
    t = model.tokenizer.token_id("<|0.00|>")
    assert t is not None
    asked: list[list[int]] = []
    script = iter([[t, 65], [t, 65, t + 8, t + 8, 66], [t, 67, t + 15], [t, 67, t + 15]])

    def hear(_: Hearing, __: Any, prompt: list[int], **___: Any) -> list[Heard]:
        asked.append(prompt)
        return [Heard(tuple(next(script)), -0.1, 1.0)]

    monkeypatch.setattr(Hearing, "hear", hear)
    made = Transcriber(model, SpeechOptions(language="en", condition=condition, most_silent=None))
    list(Captions(made, every=0.2).hear([np.zeros(3200, np.float32)] * 3))
    first, second, third, _ = asked
    settled = made.context([t, 65, t + 8])
    assert first == second
    assert third == ([*settled, *first] if condition else first)


def test_what_is_written_is_kept_so_far_as_it_is_told(model: LanguageModel) -> None:
    captions = Captions(Transcriber(model, SpeechOptions(condition=True)), every=0.5)
    for _ in range(500):
        captions._remember(Part(0, 1, (65, 66)))
    assert len(captions._written) == model.config.context // 2 - 1
    assert set(captions._written) == {65, 66}
