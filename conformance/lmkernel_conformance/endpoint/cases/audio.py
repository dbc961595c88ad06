"""Sounds as texts."""

from __future__ import annotations

import functools
import io
import json
import re
import wave
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.endpoint.case import cases_of
from lmkernel_conformance.endpoint.wire import RefusedError, Reply, expect, require_error

if TYPE_CHECKING:
    from lmkernel_conformance.endpoint.wire import Endpoint

__all__ = ["CASES"]

_PATH, _TRANSLATIONS = "/audio/transcriptions", "/audio/translations"
_RATE, _SECONDS, _NEAR = 16000, 0.6, 0.05
_STRANGE, _EDGE = "lmkernel_unknown", "lmkernel-edge"
_CLOCK = r"(\d\d+):(\d\d):(\d\d){}(\d\d\d)"
_MEMBERS = {
    *("id", "seek", "start", "end", "text", "tokens"),
    *("temperature", "avg_logprob", "compression_ratio", "no_speech_prob"),
}


@functools.cache
def _sound() -> bytes:
    """A WAV file of a hum that rises, such as nobody has a text for."""
    times = np.arange(round(_SECONDS * _RATE)) / _RATE
    hum = np.sin(2 * np.pi * (150 + 80 * times) * times) + np.sin(2 * np.pi * 700 * times) / 2
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes((hum * 8000).astype("<i2").tobytes())
    return made.getvalue()


def _form(fields: dict[str, str | bytes]) -> bytes:
    """Fields as ``multipart/form-data`` (RFC 7578); bytes are a file."""
    parts = []
    for name, value in fields.items():
        named = '; filename="sound.wav"' if isinstance(value, bytes) else ""
        data = value if isinstance(value, bytes) else value.encode()
        head = f'--{_EDGE}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        parts.append(head.encode() + data + b"\r\n")
    return b"".join(parts) + f"--{_EDGE}--\r\n".encode()


def _sent(endpoint: Endpoint, path: str = _PATH, **changes: str | bytes) -> Reply:
    """The answer to a sound, whatever it is."""
    if not endpoint.hearer:
        raise RefusedError("the server was certified without a model that hears")
    usual: dict[str, str | bytes] = {"model": endpoint.hearer, "file": _sound()}
    kind = {"Content-Type": f"multipart/form-data; boundary={_EDGE}"}
    return endpoint.request("POST", path, _form({**usual, **changes}), **kind)


def _heard(endpoint: Endpoint, path: str = _PATH, **changes: str | bytes) -> Reply:
    """The good answer to a sound."""
    reply = _sent(endpoint, path, **changes)
    endpoint.require_good(path, reply)
    return reply


def _refused(endpoint: Endpoint, *changes: dict[str, str | bytes]) -> list[dict[str, Any]]:
    """The error that each change is, of a server that hears without them."""
    _heard(endpoint)
    return [require_error(_sent(endpoint, _PATH, **one), 400, 404, 415, 422) for one in changes]


def _text(reply: Reply) -> str:
    text = reply.json().get("text")
    expect("a text", isinstance(text, str), reply.data)
    return str(text)


def a_sound_is_written_down(endpoint: Endpoint) -> None:
    """A sound has a text, which is JSON if nothing else is asked for."""
    _text(_heard(endpoint))
    _text(_heard(endpoint, response_format="json"))


def a_text_may_be_plain(endpoint: Endpoint) -> None:
    """``text`` is the text alone, and says that it is."""
    reply = _heard(endpoint, response_format="text")
    kind = reply.headers.get("content-type", "")
    expect("text/plain", kind.startswith("text/plain"), kind)
    expect("no JSON", not reply.data.lstrip().startswith(b"{"), reply.data)
    reply.data.decode()


def subtitles_have_times(endpoint: Endpoint) -> None:
    """``srt`` numbers its cues and ``vtt`` begins with its name; each ends after it begins."""
    for form, point in (("srt", ","), ("vtt", r"\.")):
        text = _heard(endpoint, response_format=form).data.decode().replace("\r\n", "\n")
        expect(f"no JSON in {form}", not text.startswith("{"), text)
        clock = _CLOCK.format(point)
        cues = re.findall(rf"^{clock} --> {clock}$", text, re.MULTILINE)
        expect(f"times in {form} as it writes them", len(cues) == text.count(" --> "), text)
        for cue in cues:
            expect("an end after the beginning", _seconds(*cue[:4]) <= _seconds(*cue[4:]), cue)
        if form == "srt":
            numbers = re.findall(r"^(\d+)\n\d\d+:", text, re.MULTILINE)
            expect("cues from 1 on", numbers == [str(n + 1) for n in range(len(cues))], text)
        else:
            expect("WEBVTT", text.startswith("WEBVTT"), text)


def _seconds(hours: str, minutes: str, seconds: str, rest: str) -> float:
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(rest) / 1000


def segments_make_the_text(endpoint: Endpoint) -> None:
    """``verbose_json`` tells language, length and parts that make the text, one after another."""
    found = _heard(endpoint, response_format="verbose_json").json()
    expect("a language", isinstance(found.get("language"), str), found)
    expect(f"a duration of {_SECONDS} s", abs(found["duration"] - _SECONDS) < _NEAR, found)
    begins = [one["start"] for one in found["segments"]]
    expect("parts in their order", begins == sorted(begins), begins)
    for one in found["segments"]:
        expect(", ".join(sorted(_MEMBERS)), set(one) >= _MEMBERS, one)
        expect("an end after the beginning", one["start"] <= one["end"], one)
    joined = "".join(one["text"] for one in found["segments"])
    expect("the text of the parts", found["text"].split() == joined.split(), found)


def words_have_times(endpoint: Endpoint) -> None:
    """``timestamp_granularities[]`` of ``word`` gives each word with its times."""
    asked = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    found = _heard(endpoint, **asked).json()
    expect("words", isinstance(found.get("words"), list), found)
    expect("words of a text", found["words"] or not found["text"].split(), found)
    for one in found["words"]:
        expect("word, start and end", {"word", "start", "end"} <= set(one), one)
        expect("an end after the beginning", one["start"] <= one["end"], one)


def times_need_a_format_that_has_them(endpoint: Endpoint) -> None:
    """``timestamp_granularities[]`` without ``verbose_json`` is refused, not dropped."""
    _refused(endpoint, {"timestamp_granularities[]": "word", "response_format": "json"})


def deltas_make_the_text(endpoint: Endpoint) -> None:
    """With ``stream`` come ``transcript.text.delta`` events, which make the text of the last."""
    reply = _heard(endpoint, stream="true")
    kind = reply.headers.get("content-type", "")
    expect("text/event-stream", kind.startswith("text/event-stream"), kind)
    data = [x[5:].strip() for x in reply.data.splitlines() if x.startswith(b"data:")]
    *deltas, done = [json.loads(one) for one in data if one != b"[DONE]"]
    expect("transcript.text.done last", done.get("type") == "transcript.text.done", done)
    kinds = {one.get("type") for one in deltas}
    expect("transcript.text.delta before", kinds <= {"transcript.text.delta"}, kinds)
    said = "".join(one["delta"] for one in deltas)
    expect(f"deltas of {done['text']!r:.80}", said == done["text"], said)


def a_translation_is_a_text(endpoint: Endpoint) -> None:
    """``/audio/translations`` answers in the same formats."""
    _text(_heard(endpoint, _TRANSLATIONS))
    found = _heard(endpoint, _TRANSLATIONS, response_format="verbose_json").json()
    expect("a duration", abs(found["duration"] - _SECONDS) < _NEAR, found)


def what_is_no_sound_is_refused(endpoint: Endpoint) -> None:
    """A text or an empty file in a sound's place is a 400, and so is none."""
    files = (b"This is no sound.", b"", _sound()[:20], "a name alone")
    _refused(endpoint, *({"file": one} for one in files))


def a_language_that_is_none_is_refused(endpoint: Endpoint) -> None:
    """A language that nobody speaks is refused, and no other is taken for it."""
    _refused(endpoint, {"language": "lmkernelese"})


def a_field_that_is_unknown_is_refused_by_name(endpoint: Endpoint) -> None:
    """What a server does not know is refused by its name in forms, too."""
    [error] = _refused(endpoint, {_STRANGE: "1"})
    expect(f"{_STRANGE} named", _STRANGE in error["message"] + str(error["param"]), error)


def a_model_of_text_hears_nothing(endpoint: Endpoint) -> None:
    """A model that does not hear is refused a sound in the interface's form."""
    if endpoint.hearer == endpoint.model:
        raise RefusedError("the model that is asked for text hears")
    _refused(endpoint, {"model": endpoint.model})


CASES = cases_of(
    "audio",
    (
        a_sound_is_written_down,
        a_text_may_be_plain,
        subtitles_have_times,
        segments_make_the_text,
        words_have_times,
        times_need_a_format_that_has_them,
        deltas_make_the_text,
        a_translation_is_a_text,
        what_is_no_sound_is_refused,
        a_language_that_is_none_is_refused,
        a_field_that_is_unknown_is_refused_by_name,
        a_model_of_text_hears_nothing,
    ),
)
