"""What clients may send with a sound: the fields of a form, which are texts but for the file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from lmkernel_serve.documents import Document

__all__ = ["SoundDocument", "TranscriptionDocument", "TranslationDocument"]


class SoundDocument(Document):
    """A sound, and how what is spoken in it is told."""

    model: str
    file: bytes
    prompt: str = ""
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = "json"
    temperature: Annotated[float, Strict(strict=False), Field(ge=0, le=1, allow_inf_nan=False)] = (
        0.0
    )


class TranslationDocument(SoundDocument):
    """``POST /v1/audio/translations``."""


class TranscriptionDocument(SoundDocument):
    """``POST /v1/audio/transcriptions``."""

    language: str = ""
    timestamp_granularities: Annotated[
        list[Literal["word", "segment"]],
        Field(alias="timestamp_granularities[]", default_factory=list),
    ]
    stream: Annotated[bool, Strict(strict=False)] = False
