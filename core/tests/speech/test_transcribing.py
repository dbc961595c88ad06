"""Sounds of any length as text: the verb, the command, and what they refuse."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from made_sounds import vowels, wave_bytes
from small_whisper import WINDOW

import lmkernel
from lmkernel import LanguageModel, Sound, load
from lmkernel.cli.main import main
from lmkernel.errors import CheckpointError, InputError, LmkernelError, UnknownNameError
from lmkernel.speech import transcriber
from lmkernel.speech.features import one_window
from lmkernel.speech.hearing import Heard, Hearing
from lmkernel.speech.options import SpeechOptions
from lmkernel.speech.outcome import Attempt
from lmkernel.speech.transcriber import Transcriber
from lmkernel.speech.verbs import hears

if TYPE_CHECKING:
    from pathlib import Path

PLAIN: dict[str, Any] = {
    "temperatures": (0.0,),
    "most_repetitive": None,
    "least_log_prob": None,
    "most_silent": None,
    "max_new_tokens": 8,
    "progress": False,
}
LONG = Sound(np.resize(vowels(1.3), 41_000).astype(np.float32), 16000)


def test_parts_follow_each_other_to_the_end(model: LanguageModel) -> None:
    found = lmkernel.transcribe(model, LONG, **PLAIN)
    assert found.language in {"en", "de", "fr"}
    assert found.seconds == LONG.seconds > 2 * WINDOW
    for before, after in zip(found.segments, found.segments[1:], strict=False):
        assert before.begin <= before.end <= after.begin + 1e-9
    assert 0 <= found.segments[0].begin < found.segments[-1].end <= LONG.seconds


def test_a_sound_in_a_file_or_in_bytes_is_the_same(model: LanguageModel, tmp_path: Path) -> None:
    content = wave_bytes(LONG.samples[:12_000, None], 16000)
    (tmp_path / "a.wav").write_bytes(content)
    samples = np.frombuffer(content[44:], "<i2").astype(np.float32) / 32768
    sounds = (tmp_path / "a.wav", str(tmp_path / "a.wav"), content, Sound(samples, 16000))
    texts = {lmkernel.transcribe(model, sound, **PLAIN).text for sound in sounds}
    assert len(texts) == 1


def test_a_known_language_is_not_guessed(model: LanguageModel) -> None:
    assert lmkernel.transcribe(model, LONG, language="French", **PLAIN).language == "fr"


def test_chunks_are_the_same_in_batches_of_any_size(model: LanguageModel) -> None:
    one, all_ = (
        lmkernel.transcribe(model, LONG, chunked=True, batch=size, **PLAIN) for size in (1, 8)
    )
    assert one.text == all_.text
    assert [(s.begin, s.end) for s in one.segments] == [(0, LONG.seconds)]


def scripted(monkeypatch: pytest.MonkeyPatch, heard: list[Heard], silent: float = 0.0) -> list[Any]:
    """The temperatures and prompts that are tried, where a model says what a script has."""
    asked: list[Any] = []

    def hear(self: Hearing, memory: Any, prompt: Any, *, temperature: float, seed: int) -> Any:
        del self, memory, seed
        asked.append((temperature, list(prompt)))
        return [heard[min(len(asked), len(heard)) - 1]]

    monkeypatch.setattr(transcriber.Hearing, "hear", hear)
    monkeypatch.setattr(transcriber.Transcriber, "_silence", lambda *_: silent)
    return asked


SHORT = replace(LONG, samples=LONG.samples[:8000])
FINE = Heard((280, 40, 290), -0.2, 0.9)


@pytest.mark.parametrize("bad", [Heard(FINE.tokens, -1.2, 0.9), Heard(FINE.tokens, -0.2, 1.5)])
def test_a_bad_text_is_heard_again_warmer(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch, bad: Heard
) -> None:
    asked = scripted(monkeypatch, [bad, bad, FINE])
    lmkernel.transcribe(model, SHORT, language="en", progress=False)
    assert [t for t, _ in asked] == [0.0, 0.2, 0.4]


def test_the_last_temperature_is_taken_as_it_is(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = scripted(monkeypatch, [Heard(FINE.tokens, -1.2, 0.9)])
    found = lmkernel.transcribe(model, SHORT, language="en", temperatures=(0, 1), progress=False)
    assert len(asked) == 2
    assert len(found.segments) == 1


def test_a_segment_tells_how_its_window_was_heard(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [Heard(FINE.tokens, -1.2, 0.9), FINE], silent=0.25)
    found = lmkernel.transcribe(model, LONG, language="en", progress=False)
    begins = [n * WINDOW for n in range(len(found.segments))]
    first, *others = [Attempt(begin, 0.0, FINE.log_prob, 0.25) for begin in begins]
    assert [one.attempt for one in found.segments] == [replace(first, temperature=0.2), *others]


def test_silence_is_passed_over(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = scripted(monkeypatch, [Heard(FINE.tokens, -1.2, 0.9)], silent=0.7)
    found = lmkernel.transcribe(model, SHORT, language="en", progress=False)
    assert (len(asked), list(found.segments)) == (1, [])


def test_what_is_likely_is_no_silence(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [FINE], silent=0.7)
    assert lmkernel.transcribe(model, SHORT, language="en", progress=False).segments


@pytest.mark.parametrize(("temperatures", "told"), [((0.0,), True), ((0.6,), False)])
def test_a_window_is_told_what_came_before_unless_that_was_a_guess(
    model: LanguageModel,
    monkeypatch: pytest.MonkeyPatch,
    temperatures: tuple[float, ...],
    told: bool,
) -> None:
    asked = scripted(monkeypatch, [FINE])
    options = {"condition": True, "temperatures": temperatures, "language": "en"}
    lmkernel.transcribe(model, LONG, progress=False, **options)
    first, second, _ = (prompt for _, prompt in asked)
    previous = model.tokenizer.token_id("<|startofprev|>")
    assert second == ([previous, *FINE.tokens, *first] if told else first)


@pytest.mark.parametrize("condition", [False, True])
def test_each_window_is_told_the_prompt(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch, condition: bool
) -> None:
    asked = scripted(monkeypatch, [FINE])
    options = {"condition": condition, "prompt": " the cat\n", "language": "en"}
    lmkernel.transcribe(model, LONG, progress=False, **options)
    previous = model.tokenizer.token_id("<|startofprev|>")
    told = [previous, *model.tokenizer.encode(" the cat", special_tokens=False)]
    first, second, _ = (prompt for _, prompt in asked)
    assert first[: len(told)] == told
    assert second == ([*told, *FINE.tokens, *first[len(told) :]] if condition else first)


def test_silence_is_the_share_of_its_token(model: LanguageModel) -> None:
    made = Transcriber(model, SpeechOptions())
    memory = made.hearing.encode(one_window(SHORT.samples, made.settings)[None])
    logits = made.hearing.first_logits(memory, [made.tokens.start])[0].astype(float)
    shares = np.exp(logits) / np.exp(logits).sum()
    got = made._silence(memory, [made.tokens.start])
    assert got == pytest.approx(shares[model.tokenizer.token_id("<|nospeech|>")], rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"language": "klingon"}, UnknownNameError, "language 'klingon'.*de, en, fr"),
        ({"language": 3}, InputError, "language: expected"),
        ({"task": "sing"}, UnknownNameError, "task 'sing'"),
        ({"prompt": 3}, InputError, "prompt: expected a text"),
        ({"prompt": "a", "chunked": True}, InputError, "prompt: expected none where windows are"),
        ({"prompt": "a<|en|>"}, InputError, "prompt: expected a text, got one with '<.en.>'"),
        ({"timestamps": False}, InputError, "more than 1 s needs them"),
        ({"temperatures": ()}, InputError, "temperatures"),
        ({"temperatures": (-1.0,)}, InputError, "temperatures"),
        ({"num_beams": 0}, InputError, "num_beams: expected a whole number of at least 1"),
        ({"batch": 1 << 64}, InputError, "batch: expected a whole number in 1 … "),
        ({"batch": 1.5}, InputError, "batch"),
        ({"most_silent": "x"}, InputError, "most_silent: expected a number or None"),
        ({"beam": 2}, UnknownNameError, "option of transcribe 'beam'"),
    ],
)
def test_what_makes_no_sense_is_named(
    model: LanguageModel, changes: Any, kind: type[LmkernelError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        lmkernel.transcribe(model, LONG, progress=False, **changes)


@pytest.mark.parametrize("sound", [None, 3, np.zeros(9)])
def test_what_is_no_sound_is_refused(model: LanguageModel, sound: Any) -> None:
    with pytest.raises(InputError, match="sound: expected a file"):
        lmkernel.transcribe(model, sound)


def test_a_model_is_described_by_the_tokens_that_it_writes(model: LanguageModel) -> None:
    assert model.describe().vocab == model.tokenizer.vocab_size


def test_a_model_that_reads_text_hears_nothing(tmp_path: Path, model: LanguageModel) -> None:
    from sequence_models import sequence_model

    other = load(sequence_model(tmp_path / "t5", "t5"))
    assert (hears(model), hears(other)) == (True, False)
    with pytest.raises(InputError, match=r"a model that hears windows.*t5"):
        lmkernel.transcribe(other, LONG)
    for ask in (model.generate, lambda text: lmkernel.translate(model, text)):
        with pytest.raises(InputError, match="transcribe"):
            str(ask("a text"))


def test_settings_of_features_that_the_model_does_not_take(folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "model")
    for text, said in (
        (
            '{"chunk_length": 30}',
            "chunk_length, hop_length: expected settings of 100 frames.*3000$",
        ),
        ("{}", "100 frames.* got 3000, the usual ones of a model without such a file"),
        ('{"feature_size": 9}', "80"),
    ):
        (tmp_path / "model/preprocessor_config.json").write_text(text)
        with pytest.raises(CheckpointError, match=f"preprocessor_config.json.*{said}"):
            lmkernel.transcribe(load(tmp_path / "model"), LONG)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--rate", "8000"), "--rate, --every: expected --live beside them"),
        (("--every", "2"), "--rate, --every: expected --live beside them"),
        (("--batch", "4"), "--batch: expected --chunked beside it"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    option: tuple[str, str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(folder), "a.wav", *option]) == 1
    assert said in capsys.readouterr().err


def test_settings_may_be_the_processors(folder: Path, tmp_path: Path, model: LanguageModel) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "model")
    own = tmp_path / "model/preprocessor_config.json"
    (tmp_path / "model/processor_config.json").write_text(
        json.dumps({"feature_extractor": json.loads(own.read_text())})
    )
    own.unlink()
    again = lmkernel.transcribe(load(tmp_path / "model"), SHORT, **PLAIN)
    assert again == lmkernel.transcribe(model, SHORT, **PLAIN)


# the command

QUICK = ("--language", "en", "--max-new-tokens", 5)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["transcribe", *map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sounds") / "a.wav"
    path.write_bytes(wave_bytes(LONG.samples[:, None], 16000))
    return path


def test_the_command_writes_every_format(
    folder: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text, _ = run(capsys, folder, file, "--format", "json", *QUICK)
    whole = json.loads(text)
    assert code == 0
    assert whole["language"] == "en"
    cues = len(whole["segments"])
    for form in ("srt", "vtt"):
        _, text, _ = run(capsys, folder, file, "--format", form, *QUICK)
        assert text.count(" --> ") == cues
        assert text.startswith("WEBVTT\n\n" if form == "vtt" else "1\n00:00:0")
    _, text, _ = run(capsys, folder, file, *QUICK)
    spoken = [" ".join(one["text"].split()) for one in whole["segments"]]
    assert text.splitlines() == [line for line in spoken if line]


def test_a_sound_may_come_through_a_pipe(
    folder: Path, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(capsys, folder, file, "--chunked", "--max-new-tokens", 4)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert run(capsys, folder, "-", "--chunked", "--max-new-tokens", 4) == expected
    assert expected[0] == 0


def test_the_command_says_what_is_wrong(
    folder: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "early.wav").write_bytes(file.read_bytes()[:-10])
    for arguments, said in (
        ((tmp_path / "early.wav",), "early.wav: the file ends early"),
        ((tmp_path / "none.wav",), "none.wav: cannot be read"),
        ((folder / "config.json",), "expected a sound (WAV, FLAC, OGG or MP3)"),
        ((file, "--language", "xx"), "unknown language 'xx'"),
        ((file, "--format", "srt", "--chunked"), "--format srt: expected times"),
    ):
        code, out, err = run(capsys, folder, *arguments)
        assert (code, out) == (1, "")
        assert said in err


def test_an_interrupt_keeps_what_was_settled(
    folder: Path, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole, _ = run(capsys, folder, file, "--format", "srt", *QUICK)
    asked = scripted(monkeypatch, [FINE])
    first = Hearing.hear

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if asked:
            raise KeyboardInterrupt
        return first(*args, **kwargs)

    monkeypatch.setattr(Hearing, "hear", interrupted)
    code, out, err = run(capsys, folder, file, "--format", "json", *QUICK)
    assert (code, "interrupted" in err) == (130, True)
    assert len(json.loads(out)["segments"]) == 1 < whole.count(" --> ")
