"""Transcripts in OpenAI's words: whole in each of its formats, or as the events of a stream."""

from __future__ import annotations

import json
import zlib
from contextlib import aclosing
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lmkernel.speech.languages import LANGUAGES
from lmkernel.speech.outcome import Segment, Transcript
from lmkernel_serve.audio_documents import TranscriptionDocument
from lmkernel_serve.streaming import send_frames

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

    from starlette.types import Receive

    from lmkernel.speech.sound_files import StoredSound
    from lmkernel.speech.words import Word
    from lmkernel_serve.audio_documents import SoundDocument
    from lmkernel_serve.errors import ApiError
    from lmkernel_serve.hearing import Hearing
    from lmkernel_serve.metrics import Metrics

__all__ = ["TEXTS", "send_transcript"]

TEXTS: Mapping[str, str] = MappingProxyType(
    {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}
)
"""The formats that are no JSON, and what they are called by HTTP."""
_STEPS_A_SECOND = 100
"""Of ``seek``, which counts frames of 10 ms."""


async def send_transcript(hearing: Hearing, receive: Receive, metrics: Metrics) -> Response:
    """The answer of HTTP, whole or as a stream.

    Raises:
        ApiError, ClientGone: before anything is sent.
    """
    found, document = hearing.parts(receive, metrics), hearing.document
    if isinstance(document, TranscriptionDocument) and document.stream:
        return await send_frames(_events(found), _failure)
    return _response(document, await _transcript(found))


async def _transcript(found: AsyncIterator[StoredSound | Segment | str]) -> Transcript:
    """All parts as one, as the library's verb makes it."""
    segments: list[Segment] = []
    language, seconds = "", 0.0
    async for one in found:
        if isinstance(one, Segment):
            segments.append(one)
        elif isinstance(one, str):
            language = one
        else:
            seconds = one.seconds
    return Transcript(segments, language, seconds)


def _response(document: SoundDocument, found: Transcript) -> Response:
    """A whole transcript in the format that is asked for."""
    form = document.response_format
    if form in TEXTS:
        made = {"text": f"{found.text}\n", "srt": found.srt(), "vtt": found.vtt()}
        return Response(made[form], media_type=f"{TEXTS[form]}; charset=utf-8")
    verbose = form == "verbose_json"
    return JSONResponse(_verbose(document, found) if verbose else _plain(found))


def _plain(found: Transcript) -> dict[str, Any]:
    return {
        "text": found.text,
        "usage": {"type": "duration", "seconds": round(found.seconds, 3)},
    }


def _verbose(document: SoundDocument, found: Transcript) -> dict[str, Any]:
    """With language, length, and the parts or words that are asked for; parts by default."""
    task, spoken, wanted = "translate", "en", ["segment"]
    if isinstance(document, TranscriptionDocument):
        task, spoken = "transcribe", found.language
        wanted = [*document.timestamp_granularities] or wanted
    body = {
        "task": task,
        "language": LANGUAGES.get(spoken, spoken),
        "duration": round(found.seconds, 3),
        **_plain(found),
    }
    if "segment" in wanted:
        body["segments"] = [_segment(number, one) for number, one in enumerate(found.segments)]
    if "word" in wanted:
        body["words"] = _words([word for one in found.segments for word in one.words])
    return body


def _segment(number: int, one: Segment) -> dict[str, Any]:
    """A part; what a model that spells does not tell is null."""
    how = one.attempt
    text = one.text.encode()
    return {
        "id": number,
        "seek": round((how.begin if how else one.begin) * _STEPS_A_SECOND),
        "start": round(one.begin, 3),
        "end": round(one.end, 3),
        "text": one.text,
        "tokens": list(one.tokens),
        "temperature": how.temperature if how else 0.0,
        "avg_logprob": how.log_prob if how else None,
        "compression_ratio": len(text) / len(zlib.compress(text)),
        "no_speech_prob": how.silence if how else None,
    }


def _words(words: Sequence[Word]) -> list[dict[str, Any]]:
    return [
        {"word": one.text.strip(), "start": round(one.begin, 3), "end": round(one.end, 3)}
        for one in words
    ]


async def _events(found: AsyncGenerator[StoredSound | Segment | str]) -> AsyncGenerator[str]:
    """A delta for each settled part, which make the text that the last event holds."""
    said, text = "", ""
    async with aclosing(found):
        async for one in found:
            said += one.text if isinstance(one, Segment) else ""
            before, text = text, said.strip()  # a space at the end waits for what follows it
            if text != before:
                yield _frame({"type": "transcript.text.delta", "delta": text[len(before) :]})
    yield _frame({"type": "transcript.text.done", "text": text})


def _failure(error: ApiError) -> str:
    return _frame(error.json())


def _frame(event: dict[str, Any]) -> str:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
