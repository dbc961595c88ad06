"""What hears, gone wrong on purpose one thing at a time: the certificate finds each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lmkernel_serve import hearing, transcript_bodies
from lmkernel_serve.audio_documents import TranscriptionDocument
from lmkernel_serve.models import Models

from lmkernel.speech.outcome import Segment, Transcript
from lmkernel.speech.sound_files import AnySound, sound_of_bytes
from lmkernel.speech.sounds import Sound
from lmkernel_conformance.endpoint.cases import audio

if TYPE_CHECKING:
    from collections.abc import Callable

    Patch = pytest.MonkeyPatch


def answer_with_json_alone(patch: Patch) -> None:
    patch.setattr(transcript_bodies, "TEXTS", {})


def write_points_where_commas_are(patch: Patch) -> None:
    patch.setattr(Transcript, "srt", lambda self: self.vtt().removeprefix("WEBVTT\n\n"))


def number_cues_from_zero(patch: Patch) -> None:
    srt = Transcript.srt
    patch.setattr(Transcript, "srt", lambda self: srt(self).replace("1\n00", "0\n00"))


def lose_the_last_part(patch: Patch) -> None:
    verbose = transcript_bodies._verbose

    def lost(document: Any, found: Any) -> Any:
        body = verbose(document, found)
        return {**body, "segments": body["segments"][:-1]}

    patch.setattr(transcript_bodies, "_verbose", lost)


def tell_no_probabilities(patch: Patch) -> None:
    segment = transcript_bodies._segment

    def bare(number: int, one: Segment) -> Any:
        return {k: v for k, v in segment(number, one).items() if k != "avg_logprob"}

    patch.setattr(transcript_bodies, "_segment", bare)


def pass_over_granularities(patch: Patch) -> None:
    patch.setattr(transcript_bodies, "_words", lambda _: None)


def take_times_of_any_format(patch: Patch) -> None:
    patch.setattr(hearing, "_check_form", lambda _: None)


def say_all_in_every_delta(patch: Patch) -> None:
    frame = transcript_bodies._frame

    def twice(event: dict[str, Any]) -> str:
        return frame(event) if "text" in event else 2 * frame(event)

    patch.setattr(transcript_bodies, "_frame", twice)


def drop_the_last_event(patch: Patch) -> None:
    frame = transcript_bodies._frame
    patch.setattr(
        transcript_bodies, "_frame", lambda event: frame({**event, "type": "transcript.text.delta"})
    )


def take_anything_for_silence(patch: Patch) -> None:
    def quiet(content: bytes, where: str, **more: Any) -> AnySound:
        try:
            return sound_of_bytes(content, where, **more)
        except ValueError:
            return Sound(np.zeros(8000, np.float32), 8000)

    patch.setattr(hearing, "sound_of_bytes", quiet)


def drop_what_is_not_known(patch: Patch) -> None:
    read, known = TranscriptionDocument.model_validate, TranscriptionDocument.model_fields

    def some(document: Any) -> Any:
        return read({name: value for name, value in document.items() if name in known})

    patch.setattr(TranscriptionDocument, "model_validate", some)


def hear_with_another_model(patch: Patch) -> None:
    patch.setattr(
        Models, "hearer", lambda self, _: next(one for one in self if one.name == "waves")
    )


def pass_over_the_language(patch: Patch) -> None:
    plan = hearing.plan_hearing

    def heard(served: Any, document: Any, limits: Any) -> Any:
        return plan(served, document.model_copy(update={"language": ""}), limits)

    patch.setattr("lmkernel_serve.app.plan_hearing", heard)


def tell_a_length_of_nothing(patch: Patch) -> None:
    verbose = transcript_bodies._verbose
    patch.setattr(transcript_bodies, "_verbose", lambda *both: {**verbose(*both), "duration": 0.0})


FAULTS: list[tuple[Callable[[Patch], None], str]] = [
    (answer_with_json_alone, "a_text_may_be_plain"),
    (answer_with_json_alone, "subtitles_have_times"),
    (write_points_where_commas_are, "subtitles_have_times"),
    (number_cues_from_zero, "subtitles_have_times"),
    (lose_the_last_part, "segments_make_the_text"),
    (tell_no_probabilities, "segments_make_the_text"),
    (tell_a_length_of_nothing, "segments_make_the_text"),
    (pass_over_granularities, "words_have_times"),
    (take_times_of_any_format, "times_need_a_format_that_has_them"),
    (say_all_in_every_delta, "deltas_make_the_text"),
    (drop_the_last_event, "deltas_make_the_text"),
    (take_anything_for_silence, "what_is_no_sound_is_refused"),
    (drop_what_is_not_known, "a_field_that_is_unknown_is_refused_by_name"),
    (hear_with_another_model, "a_model_of_text_hears_nothing"),
]


@pytest.mark.parametrize(("fault", "name"), FAULTS, ids=lambda x: getattr(x, "__name__", x))
def test_a_fault_is_found(
    roomy_address: str, state: Any, fault: Callable[[Patch], None], name: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        assert state(roomy_address, f"audio/{name}") == "failed"


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (pass_over_the_language, "a_language_that_is_none_is_refused"),
        (tell_a_length_of_nothing, "a_translation_is_a_text"),
    ],
)
def test_a_fault_of_what_only_some_models_know_is_found(
    roomy_address: str, state: Any, fault: Callable[[Patch], None], name: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        assert state(roomy_address, f"audio/{name}", hearer="whisper") == "failed"


@pytest.mark.parametrize(
    ("hearer", "others"),
    [
        ("waves", {"a_translation_is_a_text": "unsupported"}),
        pytest.param("whisper", {}, marks=pytest.mark.whole),
    ],
)
def test_what_is_right_passes(
    roomy_address: str, state: Any, hearer: str, others: dict[str, str]
) -> None:
    found = {one.name: state(roomy_address, one.key, hearer=hearer) for one in audio.CASES}
    assert {name: kind for name, kind in found.items() if kind != "passed"} == others
