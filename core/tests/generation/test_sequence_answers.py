"""Answers of an encoder-decoder: sources encoded once, and the settings of its own files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sequence_models import sequence_model

from lmkernel import load
from lmkernel.errors import CheckpointError, InputError
from lmkernel.generation import GenerationOptions

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

TEXTS = ["the cat", "a hat of the cat", "that"]
SHORT = {"max_new_tokens": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sequence_model(tmp_path_factory.mktemp("made") / "t5", "t5")


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return load(folder)


def by_hand(model: LanguageModel, text: str, count: int) -> list[int]:
    """Greedy, without a cache."""
    ops, found = model.backend.ops, [0]
    ids = [*model.tokenizer.encode(text), model.end_ids[0]]
    with model.backend:
        for _ in range(count):
            arrays = (ops.asarray([row], "int32") for row in (ids, found))
            inputs, target = arrays
            logits = ops.to_numpy(model.model.forward(model.params, inputs, target=target))
            found.append(int(np.argmax(logits[0, -1])))
    return found[1:]


def test_a_source_is_read_and_an_answer_written(model: LanguageModel) -> None:
    for text in TEXTS:
        answer = model.generate(text, ignore_eos=True, **SHORT)
        assert answer.tokens == by_hand(model, text, 6)
        assert answer.text == model.decode(answer.tokens)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_batch_says_what_each_says_alone(model: LanguageModel, beams: int) -> None:
    asked = GenerationOptions(num_beams=beams, max_new_tokens=6)
    together = model.generate_batch(TEXTS, asked)
    alone = [model.generate(text, asked) for text in TEXTS]
    assert [a.tokens for a in together] == [a.tokens for a in alone]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.log_probs, other.log_probs, atol=1e-5)
        assert one.finish_reason == other.finish_reason
    columns = model.generate_tokens([model.origin.tokenizer.encode(TEXTS[0])], asked)
    assert len(list(columns)) <= 6


def settings_of(folder: Path, **settings: Any) -> Path:
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return folder


def test_its_own_settings_hold_where_nothing_else_is_asked(tmp_path: Path) -> None:
    made = settings_of(
        sequence_model(tmp_path / "m", "t5"),
        decoder_start_token_id=0,
        num_beams=3,
        max_length=5,
        no_repeat_ngram_size=1,
        forced_bos_token_id=9,
    )
    model = load(made)
    plain = GenerationOptions(
        num_beams=3, max_new_tokens=4, no_repeat_ngram_size=1, forced_bos_token_id=9
    )
    assert model.generate(TEXTS[0]).tokens == model.generate(TEXTS[0], plain).tokens
    assert len(model.generate(TEXTS[0], ignore_eos=True).tokens) == 4
    # a token that the model forces is forced whatever else is asked
    asked = GenerationOptions(max_new_tokens=2)
    assert model.generate(TEXTS[0], asked).tokens[0] == 9
    assert model.generate(TEXTS[0], temperature=0.7, max_new_tokens=2).tokens[0] == 9
    assert model.generate(TEXTS[0], forced_bos_token_id=8).tokens[0] == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beams": "many"}, r"generation_config.json: num_beams: expected a whole number"),
        ({"max_length": "long"}, r"generation_config.json: max_new_tokens: expected a whole"),
        ({"decoder_start_token_id": 10**6}, r"decoder_start_token_id: expected an id in 0"),
        ({"decoder_start_token_id": "a"}, r"decoder_start_token_id: expected an id in 0"),
    ],
)
def test_settings_that_make_no_sense_are_named(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    made = settings_of(sequence_model(tmp_path / "m", "t5"), **settings)
    with pytest.raises(CheckpointError, match=message):
        load(made).generate(TEXTS[0]).text  # noqa: B018 - it is what runs it


def test_a_decoder_begins_with_what_the_files_or_the_tokenizer_say(tmp_path: Path) -> None:
    first = settings_of(sequence_model(tmp_path / "a", "t5"), decoder_start_token_id=7)
    other = settings_of(sequence_model(tmp_path / "b", "t5"), num_beams=1)
    asked = {"max_new_tokens": 6, "ignore_eos": True}
    answers = [load(made).generate(TEXTS[1], **asked).tokens for made in (first, other)]
    assert answers[0] != answers[1]


def test_a_source_of_nothing_is_refused(model: LanguageModel) -> None:
    with pytest.raises(InputError, match="expected a prompt of at least one token"):
        model.generate("")
