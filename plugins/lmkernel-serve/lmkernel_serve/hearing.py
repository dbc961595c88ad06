"""What is spoken in a sound: the library's own transcript, a part in each turn of the worker."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.errors import LmkernelError
from lmkernel.speech.options import SpeechOptions
from lmkernel.speech.sound_files import sound_of_bytes
from lmkernel.speech.verbs import segments_of
from lmkernel_serve.audio_documents import TranscriptionDocument
from lmkernel_serve.errors import ApiError
from lmkernel_serve.waiting import in_time, watch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Receive

    from lmkernel.speech.outcome import Segment
    from lmkernel.speech.sound_files import StoredSound
    from lmkernel_serve.audio_documents import SoundDocument
    from lmkernel_serve.limits import Limits
    from lmkernel_serve.metrics import Metrics
    from lmkernel_serve.served import Served

__all__ = ["Hearing", "plan_hearing"]

_ASKED = ("language", "temperature", "prompt")


@final
@dataclass(frozen=True)
class Hearing:
    """A sound that is to be heard.

    Args:
        served: who hears it.
        document: what was asked.
        options: the same in the library's words.
        limits: how long the sound may be, and what time the transcript has.
    """

    served: Served
    document: SoundDocument
    options: SpeechOptions
    limits: Limits

    async def parts(
        self, receive: Receive, metrics: Metrics
    ) -> AsyncGenerator[StoredSound | Segment | str]:
        """The sound, then the language's code if it is told, and each segment once it is settled.

        Each is a turn of the worker, so that others who ask this model have theirs between two.

        Args:
            receive: tells when the client goes.
            metrics: are told how long the sound is.

        Raises:
            ApiError: no sound, or what the model cannot do; it is full; or the time is over.
            ClientGone: there is nobody to send to.
        """
        end = time.monotonic() + self.limits.seconds
        gone, worker = watch(receive), self.served.worker
        try:
            with worker.place():
                sound = await in_time(asyncio.to_thread(self._sound), gone, end)
                metrics.hear(self.served.name, sound.seconds)
                yield sound
                found = segments_of(self.served.model, sound, self.options)
                while True:
                    one = await in_time(worker.turn(lambda: next(found, None)), gone, end)
                    if one is None:
                        return
                    yield one
        except LmkernelError as error:
            raise ApiError(str(error), param=self._param(str(error))) from error
        finally:
            gone.cancel()

    def _sound(self) -> StoredSound:
        """What was sent, read through, so that nothing is answered to what is no sound."""
        try:
            sound = sound_of_bytes(self.document.file, "file", most_seconds=self.limits.sound)
            for _ in sound.blocks(sound.rate):
                pass
        except LmkernelError as error:
            raise ApiError(str(error), param="file", code="invalid_file") from error
        return sound

    def _param(self, message: str) -> str | None:
        """The field that a message is about, of those that the library was told of."""
        given = self.document.model_fields_set
        return next((name for name in _ASKED if name in given and name in message), None)


def plan_hearing(served: Served, document: SoundDocument, limits: Limits) -> Hearing:
    """A transcript, or a translation into English, as the library is asked for it.

    Args:
        served: who hears.
        document: what is asked for.
        limits: of the request.

    Raises:
        ApiError: fields that do not go together.
    """
    words = False
    task, language = "translate", ""
    if isinstance(document, TranscriptionDocument):
        task, language = "transcribe", document.language
        _check_form(document)
        words = "word" in document.timestamp_granularities
    usual = SpeechOptions().temperatures
    options = SpeechOptions(
        language=language or None,
        task=task,
        prompt=document.prompt,
        words=words,
        # 0 is the usual way: warmer where a text is unlikely or repeats itself
        temperatures=(document.temperature,) if document.temperature else usual,
    )
    return Hearing(served, document, options, limits)


def _check_form(document: TranscriptionDocument) -> None:
    form = document.response_format
    if document.timestamp_granularities and form != "verbose_json":
        name = "timestamp_granularities[]"
        raise ApiError(f"{name}: expected response_format verbose_json, got {form}", param=name)
    if document.stream and form != "json":
        name = "response_format"
        raise ApiError(f"{name}: expected json where stream is true, got {form}", param=name)
