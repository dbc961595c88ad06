"""What may be written after what: the order of times, noise, and what stands first."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from small_whisper import speech_tokenizer

from lmkernel.errors import CheckpointError, InputError, UnknownNameError
from lmkernel.families.family import HfConfig
from lmkernel.origin import Origin, open_origin
from lmkernel.speech.languages import LANGUAGES, language_code
from lmkernel.speech.rules import SpeechRules
from lmkernel.speech.vocabulary import SpeechTokens

END, TIMES, VOCAB = 10, 16, 26
TOKENS = SpeechTokens(
    start=11,
    ends=frozenset({END}),
    languages={"de": 12, "en": 13},
    tasks={"transcribe": 14, "translate": 9},
    no_timestamps=TIMES - 1,
    previous=None,
    suppressed=(3, 11),
    first_suppressed=(4, END),
    latest_first=5,
)
FLAT = np.linspace(0, 0.01, VOCAB)


def allowed(answer: list[int], scores: np.ndarray = FLAT, **changes: object) -> set[int]:
    rules = SpeechRules(replace(TOKENS, **changes), timestamps=True)
    return set(np.flatnonzero(np.isfinite(rules(scores, answer))).tolist())


def text_is_likely(scores: np.ndarray = FLAT) -> np.ndarray:
    """So that times together are no likelier than a text."""
    changed = scores.copy()
    changed[1] = 9
    return changed


def test_a_transcript_begins_with_an_early_time() -> None:
    assert allowed([]) == set(range(TIMES, TIMES + 6))
    assert allowed([], latest_first=None) == set(range(TIMES, VOCAB))


def test_after_the_first_time_something_is_said() -> None:
    assert allowed([TIMES + 2], text_is_likely()) == set(range(TIMES - 1)) - {3, 11}


def test_a_part_that_has_begun_ends_later() -> None:
    after = allowed([TIMES + 2, 1], text_is_likely())
    assert after == {*range(TIMES - 1), *range(TIMES + 3, VOCAB)} - {3, 11}


def test_a_part_that_has_ended_is_followed_by_another_or_by_the_end() -> None:
    scores = FLAT.copy()
    scores[END] = 9
    after = allowed([TIMES + 2, 1, TIMES + 5], scores)
    assert after == {*range(END, TIMES - 1), *range(TIMES + 5, VOCAB)} - {11}


def test_after_a_pair_of_times_something_is_said() -> None:
    after = allowed([TIMES, 1, TIMES + 5, TIMES + 5], text_is_likely())
    assert after == set(range(TIMES - 1)) - {3, 11}


def test_a_time_is_written_where_times_together_are_likelier() -> None:
    assert min(allowed([TIMES, 1])) == TIMES + 1
    assert min(allowed([TIMES, 1], text_is_likely())) == 0


def test_without_times_only_noise_is_forbidden() -> None:
    rules = SpeechRules(TOKENS, timestamps=False)
    assert set(np.flatnonzero(np.isinf(rules(FLAT, [])))) == {3, 4, END, 11}
    assert set(np.flatnonzero(np.isinf(rules(FLAT, [1])))) == {3, 11}


def test_scores_stay_as_they_are() -> None:
    before = FLAT.copy()
    allowed([TIMES])
    np.testing.assert_array_equal(before, FLAT)


def test_what_a_transcript_begins_with() -> None:
    assert TOKENS.prefix("de", "transcribe", timestamps=True) == [11, 12, 14]
    assert TOKENS.prefix("German", "translate", timestamps=False) == [11, 12, 9, 15]
    english = replace(TOKENS, languages={}, tasks={})
    assert english.prefix(None, "transcribe", timestamps=False) == [11, 15]


@pytest.mark.parametrize(
    ("language", "task", "kind", "said"),
    [
        ("fr", "transcribe", UnknownNameError, "language 'fr'.*de, en"),
        ("klingon", "transcribe", UnknownNameError, "klingon"),
        ("de", "sing", UnknownNameError, "task 'sing'"),
    ],
)
def test_a_language_or_task_that_the_model_has_not(
    language: str, task: str, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        TOKENS.prefix(language, task, timestamps=True)


@pytest.mark.parametrize(("language", "task"), [("en", "transcribe"), (None, "translate")])
def test_a_model_of_one_language_is_told_none(language: str | None, task: str) -> None:
    with pytest.raises(InputError, match="one language alone"):
        replace(TOKENS, languages={}, tasks={}).prefix(language, task, timestamps=True)


def test_times_of_a_model_without_any_are_refused() -> None:
    with pytest.raises(InputError, match="notimestamps"):
        SpeechRules(replace(TOKENS, no_timestamps=None), timestamps=True)


@pytest.mark.parametrize("asked", ["de", "DE", "<|de|>", "German", " german "])
def test_languages_go_by_code_token_and_name(asked: str) -> None:
    assert language_code(asked, ["de", "en"]) == "de"


@pytest.mark.parametrize(
    ("asked", "code"), [("Mandarin", "zh"), ("castilian", "es"), ("haitian", "ht")]
)
def test_some_languages_have_several_names(asked: str, code: str) -> None:
    assert language_code(asked, ["zh", "es", "ht"]) == code
    with pytest.raises(UnknownNameError, match="unknown language"):
        language_code(asked, ["de"])


def test_there_are_a_hundred_languages() -> None:
    assert len(LANGUAGES) == 100
    assert LANGUAGES["ht"] == "haitian creole"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    from small_whisper import speech_model

    return open_origin(speech_model(tmp_path_factory.mktemp("speech") / "model"))


def with_settings(origin: Origin, **changes: object) -> Origin:
    assert origin.files is not None
    settings = {**origin.files.generation_config, **changes}
    return replace(origin, files=replace(origin.files, generation_config=settings))


def test_what_the_settings_leave_out_the_tokenizer_says(origin: Origin) -> None:
    said = SpeechTokens.of(origin)
    nothing = dict.fromkeys(
        ("lang_to_id", "task_to_id", "no_timestamps_token_id", "prev_sot_token_id", "eos_token_id")
    )
    found = SpeechTokens.of(with_settings(origin, **nothing))
    assert replace(found, languages=dict(sorted(found.languages.items()))) == replace(
        said, languages=dict(sorted(said.languages.items()))
    )


def test_a_model_of_english_has_no_languages(origin: Origin) -> None:
    found = SpeechTokens.of(with_settings(origin, is_multilingual=False))
    assert (found.languages, found.tasks) == ({}, {})


def test_ids_outside_the_vocabulary_forbid_nothing(origin: Origin) -> None:
    found = SpeechTokens.of(with_settings(origin, suppress_tokens=[3, -1, 10**6]))
    assert found.suppressed == (3,)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lang_to_id", [1]),
        ("task_to_id", {"transcribe": "1"}),
        ("suppress_tokens", "1,2"),
        ("begin_suppress_tokens", [1.5]),
        ("eos_token_id", "x"),
        ("eos_token_id", -1),
        ("eos_token_id", [1, 10**6]),
        ("no_timestamps_token_id", "x"),
        ("max_initial_timestamp_index", 1.5),
        ("prev_sot_token_id", True),
    ],
)
def test_settings_of_another_type_are_named(origin: Origin, key: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=key):
        SpeechTokens.of(with_settings(origin, **{key: value}))


@pytest.mark.parametrize("number", [99_999, 10**30, -1, None, True])
def test_ids_of_languages_and_tasks_are_of_the_vocabulary(origin: Origin, number: object) -> None:
    for key, name in (("lang_to_id", "<|en|>"), ("task_to_id", "translate")):
        given = {**origin.generation_config[key], name: number}
        said = re.escape(f"{key}: {name}: expected 0 … ")
        with pytest.raises(CheckpointError, match=said):
            SpeechTokens.of(with_settings(origin, **{key: given}))


def test_a_configuration_may_say_it_where_there_is_no_file_of_its_own(origin: Origin) -> None:
    assert origin.files is not None
    values = {**origin.described.values, "suppress_tokens": [8]}
    bare = replace(origin, files=replace(origin.files, generation_config={}))
    assert SpeechTokens.of(replace(bare, described=HfConfig(values))).suppressed == (8,)


def test_a_model_without_the_token_is_told_nothing() -> None:
    tokenizer = speech_tokenizer()
    assert TOKENS.prompt_ids(" ", tokenizer) == []
    with pytest.raises(InputError, match=r"no token '<\|startofprev\|>'"):
        TOKENS.prompt_ids("the cat", tokenizer)
