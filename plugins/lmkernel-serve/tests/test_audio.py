"""Sounds as texts: OpenAI's own client against the library's transcript of the same sound."""

from __future__ import annotations

import io
import json
import re
import urllib.error
import urllib.request
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import openai
import pytest
import soundfile
from lmkernel_serve.served import Served
from made_sounds import vowels, wave_bytes
from small_waves import RATE, wave_model
from small_whisper import speech_model

import lmkernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.language_model import LanguageModel
    from lmkernel.speech.outcome import Transcript

WAVE = wave_bytes(np.resize(vowels(1.3), (25_000, 1)), 16000)
"""Of two windows of the model that writes."""
SOUND = ("talk.wav", WAVE)
WARM = 0.4
BRIEF = wave_bytes(vowels(0.7, rate=RATE)[:, None], RATE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Models that hear: one that writes, one that spells."""
    folder = tmp_path_factory.mktemp("heard")
    whisper = speech_model(folder / "whisper", context=20)
    return {"whisper": whisper, "waves": wave_model(folder / "waves")}


@pytest.fixture(scope="module")
def audio(
    folders: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, serving: Any, tiny: Any
) -> Iterator[openai.OpenAI]:
    """A client of a server that has a model of text, too."""
    hearing = [Served(name, lmkernel.load(folder)) for name, folder in folders.items()]
    text = Served("tiny", tiny(tmp_path_factory.mktemp("text") / "tiny"))
    with (
        serving(text, *hearing) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="-", max_retries=0) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def whisper(folders: dict[str, Any]) -> LanguageModel:
    """What the library hears with."""
    return lmkernel.load(folders["whisper"])


@pytest.fixture(scope="module")
def heard(whisper: LanguageModel) -> Transcript:
    """The library's own transcript at one temperature, with words."""
    return lmkernel.transcribe(whisper, WAVE, words=True, temperatures=(WARM,), progress=False)


def asked(client: openai.OpenAI, **more: Any) -> Any:
    fields = {"model": "whisper", "file": SOUND, "temperature": WARM, **more}
    return client.audio.transcriptions.create(**fields)


def test_the_text_is_what_the_library_hears_by_itself(
    audio: openai.OpenAI, whisper: LanguageModel
) -> None:
    sound = wave_bytes(vowels(0.5)[:, None], 16000)
    expected = lmkernel.transcribe(whisper, sound, progress=False)
    answer = audio.audio.transcriptions.create(model="whisper", file=("talk.wav", sound))
    assert answer.text == expected.text != ""
    assert answer.to_dict()["usage"] == {"type": "duration", "seconds": 0.5}


def test_seconds_of_sound_are_counted(audio: openai.OpenAI, get: Any) -> None:
    address = str(audio.base_url).removesuffix("/v1/")
    counts = re.compile(r'lmkernel_sound_seconds_total\{model="whisper"\} (\S+)')
    before = counts.search(get(address, "/metrics"))
    sound = wave_bytes(vowels(0.5)[:, None], 16000)
    audio.audio.transcriptions.create(model="whisper", file=("talk.wav", sound))
    after = counts.search(get(address, "/metrics"))
    assert after is not None
    assert float(after[1]) == pytest.approx((float(before[1]) if before else 0) + 0.5)


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_each_format_is_the_librarys(audio: openai.OpenAI, heard: Transcript, form: Any) -> None:
    expected = {"text": f"{heard.text}\n", "srt": heard.srt(), "vtt": heard.vtt()}
    assert asked(audio, response_format=form) == expected[form]


def test_segments_say_when_and_how_they_were_heard(audio: openai.OpenAI, heard: Transcript) -> None:
    answer = asked(audio, response_format="verbose_json").to_dict()
    assert answer["language"] in {"english", "german", "french"}
    assert (answer["task"], answer["duration"]) == ("transcribe", round(heard.seconds, 3))
    assert "words" not in answer
    assert len(answer["segments"]) == len(heard.segments) > 1
    for number, (got, one) in enumerate(zip(answer["segments"], heard.segments, strict=True)):
        how, text = one.attempt, one.text.encode()
        assert how is not None
        assert got == {
            "id": number,
            "seek": round(how.begin * 100),
            "start": round(one.begin, 3),
            "end": round(one.end, 3),
            "text": one.text,
            "tokens": list(one.tokens),
            "temperature": how.temperature,
            "avg_logprob": how.log_prob,
            "compression_ratio": len(text) / len(zlib.compress(text)),
            "no_speech_prob": how.silence,
        }
    assert answer["segments"][-1]["seek"] > 0


def test_words_have_times_where_they_are_asked_for(audio: openai.OpenAI, heard: Transcript) -> None:
    found: dict[tuple[str, ...], Any] = {
        kinds: asked(
            audio, response_format="verbose_json", timestamp_granularities=list(kinds)
        ).to_dict()
        for kinds in (("word",), ("segment", "word"))
    }
    expected = [
        {"word": word.text.strip(), "start": round(word.begin, 3), "end": round(word.end, 3)}
        for one in heard.segments
        for word in one.words
    ]
    assert expected
    for kinds, answer in found.items():
        assert answer["words"] == expected
        assert ("segments" in answer) == ("segment" in kinds)


def test_deltas_make_the_text(audio: openai.OpenAI, heard: Transcript) -> None:
    *deltas, done = asked(audio, stream=True)
    assert {one.type for one in deltas} == {"transcript.text.delta"}
    assert len(deltas) > 1
    assert "".join(one.delta for one in deltas) == done.text == heard.text
    assert done.type == "transcript.text.done"


def test_a_language_a_temperature_and_a_prompt_are_the_librarys(
    audio: openai.OpenAI, whisper: LanguageModel
) -> None:
    fields = {"language": "fr", "temperature": 0.7, "prompt": "the cat sat"}
    answer = asked(audio, **fields, response_format="verbose_json")
    told: Any = {"language": "fr", "temperatures": (0.7,), "progress": False}
    expected = lmkernel.transcribe(whisper, WAVE, prompt="the cat sat", **told)
    assert expected.text != lmkernel.transcribe(whisper, WAVE, **told).text
    assert (answer.text, answer.language) == (expected.text, "french")
    assert {one.temperature for one in answer.segments} == {0.7}


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the client's own
def test_a_translation_is_into_english(audio: openai.OpenAI, whisper: LanguageModel) -> None:
    told: Any = {"task": "translate", "temperatures": (WARM,), "progress": False}
    expected = lmkernel.transcribe(whisper, WAVE, **told)
    fields: Any = {"model": "whisper", "file": SOUND, "temperature": WARM}
    translate: Any = audio.audio.translations
    plain = translate.create(**fields)
    verbose = translate.create(**fields, response_format="verbose_json")
    assert plain.text == expected.text
    assert (verbose.language, verbose.task) == ("english", "translate")
    assert [one.text for one in verbose.segments] == [one.text for one in expected.segments]


def test_a_model_that_spells_is_asked_alike(audio: openai.OpenAI, folders: Any) -> None:
    expected = lmkernel.transcribe(folders["waves"], BRIEF, words=True, progress=False)
    answer = asked(
        audio,
        model="waves",
        file=("talk.wav", BRIEF),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        temperature=0,
    )
    assert answer.text == expected.text != ""
    assert [one.word for one in answer.words] == expected.text.split()
    assert answer.language == ""
    assert {one.avg_logprob for one in answer.segments} == {None}


def test_other_files_at_other_rates_are_sounds_too(audio: openai.OpenAI, folders: Any) -> None:
    made = io.BytesIO()
    soundfile.write(made, vowels(0.7, rate=44100), 44100, format="FLAC")
    expected = lmkernel.transcribe(folders["waves"], made.getvalue(), progress=False)
    answer = asked(audio, model="waves", file=("talk.flac", made.getvalue()), temperature=0)
    assert answer.text == expected.text != ""


FORM = "multipart/form-data; boundary=limit"
WHOLE = {"model": "whisper", "file": SOUND}
REFUSED: list[tuple[str, dict[str, Any], str | None, str]] = [
    ("transcriptions", {"model": "tiny"}, "model", "no sounds; those that do: whisper, waves"),
    ("translations", {"model": "tiny"}, "model", "hears no sounds"),
    ("transcriptions", {"language": "klingon"}, "language", "unknown language 'klingon'"),
    ("transcriptions", {"temperature": "warm"}, "temperature", "temperature: "),
    ("transcriptions", {"temperature": "nan"}, "temperature", "temperature: "),
    ("transcriptions", {"temperature": "1.5"}, "temperature", "temperature: "),
    ("transcriptions", {"response_format": "diarized_json"}, "response_format", "'verbose_json'"),
    ("transcriptions", {"stream": "perhaps"}, "stream", "stream: "),
    (
        "transcriptions",
        {"stream": "true", "response_format": "srt"},
        "response_format",
        "expected json where stream is true, got srt",
    ),
    (
        "transcriptions",
        {"timestamp_granularities[]": ["word"]},
        "timestamp_granularities[]",
        "expected response_format verbose_json, got json",
    ),
    (
        "transcriptions",
        {"timestamp_granularities[]": ["second"], "response_format": "verbose_json"},
        "timestamp_granularities[].0",
        "'word' or 'segment'",
    ),
    ("transcriptions", {"prompt": "a<|en|>"}, "prompt", "expected a text, got one with"),
    ("transcriptions", {"model": "waves", "prompt": "a name"}, "prompt", "that spells"),
    ("transcriptions", {"keywords[]": ["cat"]}, "keywords[]", "does not know this field"),
    ("transcriptions", {"include[]": ["logprobs"]}, "include[]", "does not know this field"),
    ("transcriptions", {"chunking_strategy": "auto"}, "chunking_strategy", "does not know"),
    ("translations", {"language": "de"}, "language", "does not know this field"),
    ("translations", {"stream": "true"}, "stream", "does not know this field"),
    ("transcriptions", {"file": "talk.wav"}, "file", "file: "),
    ("transcriptions", {"model": ["whisper", "whisper"]}, "model", "expected it once"),
    ("transcriptions", {"model": "waves", "language": "en"}, "language", "that spells"),
    ("transcriptions", {"model": "waves", "temperature": "0.5"}, "temperature", "that spells"),
    ("translations", {"model": "waves"}, None, "task: expected none for a model that spells"),
    ("transcriptions", {"file": ("x.wav", b"")}, "file", "an empty file"),
    ("transcriptions", {"file": ("x.wav", b"hello, a text")}, "file", "something else"),
    ("transcriptions", {"file": ("x.wav", WAVE[:-10])}, "file", "the file ends early"),
    (
        "transcriptions",
        {"file": ("x.wav", WAVE[:24] + bytes(4) + WAVE[28:])},
        "file",
        "a rate of 1 to",
    ),
]


@pytest.mark.parametrize(("path", "changes", "param", "said"), REFUSED)
def test_what_cannot_be_done_is_refused_by_name(
    audio: openai.OpenAI, path: str, changes: dict[str, Any], param: str | None, said: str
) -> None:
    status, answer = form(audio, path, {**WHOLE, **changes})
    assert status == 400, answer
    assert said in answer["error"]["message"]
    assert answer["error"]["param"] == param
    assert answer["error"]["type"] == "invalid_request_error"


def form(client: openai.OpenAI, path: str, fields: dict[str, Any]) -> tuple[int, Any]:
    """The status and the answer to a form; a pair is a file, and of a list each value is sent."""
    parts = []
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            file, data = one if isinstance(one, tuple) else (None, one.encode())
            named = "" if file is None else f'; filename="{file}"'
            head = f'--limit\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
            parts.append(head.encode() + data + b"\r\n")
    return sent(client, path, b"".join(parts) + b"--limit--\r\n")


def sent(client: openai.OpenAI, path: str, body: bytes, kind: str = FORM) -> tuple[int, Any]:
    """The status and the answer to a body as it is."""
    request = urllib.request.Request(  # noqa: S310 - of our own server
        f"{client.base_url}audio/{path}", body, {"Content-Type": kind}
    )
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - the same
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


PART = b'--limit\r\nContent-Disposition: form-data; name="model"\r\n\r\n'


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"{}", "application/json", "got 'application/json'"),
        (b"", "multipart/form-data", "No boundary given"),
        (b"", FORM, "ends with its boundary"),
        (b"hello", FORM, "Expected boundary character"),
        (PART + b"whisper\r\n", FORM, "ends with its boundary"),
        (PART + b"\xff\r\n--limit--", FORM, "a field of a form in UTF-8"),
        (PART.replace(b"; name", b"; no") + b"x\r\n--limit--", FORM, "name not found"),
        (PART.replace(b"model", b"\xff") + b"x\r\n--limit--", FORM, "a name of a form in UTF-8"),
        ((PART + b"x\r\n") * 65 + b"--limit--", FORM, "at most 64 fields"),
        (b"--limit\r\n\xff\xfe\r\n\r\n", FORM, "expected a body of multipart/form-data"),
        (b"", f"{FORM}{'x' * 300}", "Boundary length"),
    ],
)
def test_what_is_no_form_is_refused(
    audio: openai.OpenAI, body: bytes, kind: str, said: str
) -> None:
    status, answer = sent(audio, "transcriptions", body, kind)
    assert (status, said in answer["error"]["message"]) == (400, True), answer
    assert set(answer["error"]) == {"message", "type", "param", "code"}


def test_a_long_field_is_refused(audio: openai.OpenAI) -> None:
    status, answer = form(audio, "transcriptions", {**WHOLE, "language": "x" * 100_000})
    assert (status, answer["error"]["param"]) == (400, "language")
    assert "expected at most 65536 bytes" in answer["error"]["message"]


def test_a_model_that_hears_writes_no_answers(audio: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="writes down what is spoken"):
        audio.chat.completions.create(
            model="whisper", messages=[{"role": "user", "content": "the cat?"}]
        )
    with pytest.raises(openai.BadRequestError, match="expected"):
        audio.embeddings.create(model="whisper", input="the cat")


def test_programs_are_told_which_models_hear(audio: openai.OpenAI, get: Any) -> None:
    address = str(audio.base_url).removesuffix("/v1/")
    models = json.loads(get(address, "/lmkernel/models"))["data"]
    assert {one["id"]: one["hears"] for one in models} == {
        "tiny": False,
        "whisper": True,
        "waves": True,
    }
