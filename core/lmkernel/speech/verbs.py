"""The verb that hears: `transcribe`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from lmkernel.errors import InputError, shown
from lmkernel.loading import as_language_model
from lmkernel.paths import user_path
from lmkernel.progress import as_progress
from lmkernel.speech.options import SpeechOptions
from lmkernel.speech.outcome import Segment, Transcript
from lmkernel.speech.sound_files import AnySound, StoredSound, read_sound, sound_of_bytes
from lmkernel.speech.sounds import Sound
from lmkernel.speech.spelling import Speller
from lmkernel.speech.transcriber import Transcriber

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.language_model import LanguageModel
    from lmkernel.progress import ProgressLike
    from lmkernel.speech.options import SpeechChanges

__all__ = ["as_sound", "hears", "segments_of", "transcribe"]


def transcribe(
    model: str | os.PathLike[str] | LanguageModel,
    sound: str | os.PathLike[str] | bytes | Sound,
    *,
    backend: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    progress: ProgressLike = True,
    **changes: Unpack[SpeechChanges],
) -> Transcript:
    """Write down what is spoken in a sound.

    Args:
        model: one that hears, such as Whisper or Wav2Vec2 with CTC: loaded, or a name or folder.
        sound: a file, its bytes, or a `Sound` of samples.
        backend: where a model that is not loaded runs; see `lmkernel.load`.
        device: of the backend.
        dtype: of the computation.
        progress: True shows a bar on a terminal, False none; or a function to be called.
        changes: such as ``language="de"`` or ``task="translate"``; see `SpeechOptions`.

    Returns:
        The transcript: ``text``, ``segments``, ``language``, and as subtitles ``srt()``, ``vtt()``.

    Raises:
        LmkernelError: there is no such model, it hears nothing, it has not the language, or the
            sound cannot be read.
    """
    options = SpeechOptions.of(cast("dict[str, Any]", changes))
    heard = as_sound(sound)
    loaded = as_language_model(
        model, backend=backend, device=device, dtype=dtype, progress=progress
    )
    found: list[Segment] = []
    language = ""
    frames = round(heard.seconds * 100)
    with as_progress(progress).bar("sound", frames, "") as advance:
        done = 0
        for one in segments_of(loaded, heard, options):
            if isinstance(one, Segment):
                found.append(one)
                reached = min(round(one.end * 100), frames)
                advance(max(0, reached - done))
                done = max(done, reached)
            else:
                language = one
        advance(frames - done)
    return Transcript(found, language, heard.seconds)


def as_sound(given: object) -> AnySound:
    """The sound in a file, in bytes, or as it is.

    Raises:
        InputError: none of them, or a file that is no sound.
    """
    if isinstance(given, Sound | StoredSound):
        return given
    if isinstance(given, bytes):
        return sound_of_bytes(given, "the sound")
    if isinstance(given, str | os.PathLike):
        return read_sound(Path(user_path(given, InputError)))
    raise InputError(f"sound: expected a file, its bytes, or a Sound, got {shown(given)}")


def hears(model: LanguageModel) -> bool:
    """Whether a model writes down what is spoken: from frames, or letter by letter."""
    source, head = model.config.embedding, model.config.head
    if source.waves is not None:
        return head is not None and head.blank is not None
    return model.reads_sources and "bins" in source.options


def segments_of(
    model: LanguageModel, sound: AnySound, options: SpeechOptions
) -> Iterator[Segment | str]:
    """The code of the language, if it is told, and each segment as soon as it is settled."""
    if model.config.embedding.waves is not None:
        yield from Speller(model, options).segments(sound)
        return
    transcriber = Transcriber(model, options)
    if options.chunked:
        yield from transcriber.chunked(sound)
        return
    language = ""
    for one in transcriber.parts(sound):
        if isinstance(one, str):
            language = one
            yield language
        else:
            yield transcriber.segment(one, sound.seconds, language)
