"""A fine-tuned classifier says the class of texts, and how probable each class is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from inspected import small_llama
from small_bert import BERT, small_bert

import lmkernel as lk
from lmkernel.checkpoints.directory import write_directory
from lmkernel.errors import CheckpointError, InputError
from lmkernel.families.bert import Bert
from lmkernel.families.names import from_ours
from lmkernel.inspection.sentence_rows import text_row
from lmkernel.model import Model
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

KIND = "BertForSequenceClassification"


def classifier(folder: Path, labels: tuple[str, ...], **changes: Any) -> LanguageModel:
    names = {str(n): label for n, label in enumerate(labels)}
    more = {"architectures": [KIND], "vocab_size": 261, "id2label": names, **changes}
    model = Model(lk.load_backend("numpy"), small_bert(KIND, **more))
    values = {name: 20 * x for name, x in model.initial(3).items()}
    tensors = from_ours(values, Bert().rules(model.config), model.declare())
    tokenizer = train_tokenizer(["q"], 261, Bert().special_tokens())
    write_directory(folder, config={**BERT, **more}, tensors=tensors, tokenizer=tokenizer)
    return lk.load(folder, backend="numpy")


@pytest.fixture
def model(tmp_path: Path) -> LanguageModel:
    return classifier(tmp_path / "bert", ("bad", "so", "good"))


def test_scores_are_a_softmax_of_the_logits_by_label(model: LanguageModel) -> None:
    found = model.classify("a text")
    logits = model.logits("a text").astype(np.float64)
    expected = np.exp(logits - logits.max())
    np.testing.assert_allclose(list(found.scores.values()), expected / expected.sum(), rtol=1e-6)
    assert list(found.scores) == ["bad", "so", "good"]
    assert found.label == ["bad", "so", "good"][logits.argmax()]
    assert found.score == max(found.scores.values())


def test_batches_change_nothing_and_a_pair_has_segments(model: LanguageModel) -> None:
    texts = ["a", "bc", ("a", "bc"), "a text", "x", ("y", "")]
    whole = model.classify(texts)
    for batch in (1, 2, 5):
        again = model.classify(texts, batch=batch)
        for one, other in zip(whole, again, strict=True):
            np.testing.assert_allclose(
                list(one.scores.values()), list(other.scores.values()), rtol=1e-5
            )
    assert whole[2].scores != model.classify("abc").scores
    assert [one.text for one in whole[:3]] == texts[:3]


def test_what_is_given_back_reads_as_lines_of_json(model: LanguageModel) -> None:
    found = lk.classify(model, ["a", ("é", "b")])
    assert isinstance(found, lk.Classifications)
    assert isinstance(found[0], lk.Classification)
    assert [json.loads(line) for line in str(found).splitlines()] == found.json()
    assert found.json()[1]["text"] == ["é", "b"]
    assert found.rows()[0] == ["LABEL", "SCORE", "TEXT"]


def test_the_verb_loads_a_model_by_its_folder(model: LanguageModel) -> None:
    found = lk.classify(model.files.path, "a", backend="numpy", progress=False)
    assert found == model.classify("a")


def test_labels_without_names_and_several_labels_at_once(tmp_path: Path) -> None:
    plain = classifier(tmp_path / "a", (), num_labels=2).classify("a")
    assert list(plain.scores) == ["LABEL_0", "LABEL_1"]
    several = {"problem_type": "multi_label_classification"}
    model = classifier(tmp_path / "b", ("x", "y"), **several)
    expected = 1 / (1 + np.exp(-model.logits("a").astype(np.float64)))
    np.testing.assert_allclose(list(model.classify("a").scores.values()), expected, rtol=1e-6)


@pytest.mark.parametrize("texts", [[], None, 3, [3], [("a", "b", "c")], [("a", 1)], [["a", "b"]]])
def test_what_is_no_text_is_refused(model: LanguageModel, texts: Any) -> None:
    with pytest.raises(InputError, match=r"expected (one text or more|a text, or a pair)"):
        model.classify(texts)


def test_a_text_beyond_the_context_is_named_or_cut(model: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"'long.*expected at most 16 tokens, .* got 42; truncate"):
        model.classify("long" * 10)
    assert model.classify("long" * 10, truncate=True).label
    assert model.classify(("long" * 10, "x"), truncate=True).label


def test_a_text_is_cut_where_the_tokenizer_says(model: LanguageModel, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    model.save(folder)
    said = folder / "tokenizer_config.json"
    for most, cut in ((9, 9), (10**30, 16), (0, 16), ("9", 16)):
        said.write_text(json.dumps({**json.loads(said.read_text()), "model_max_length": most}))
        ids, _ = text_row(lk.load(folder), "long" * 10, truncate=True)
        assert len(ids) == cut, most
        with pytest.raises(InputError, match="expected at most 16 tokens"):
            text_row(lk.load(folder), "long" * 10)


@pytest.mark.parametrize("type_id", [2, 7, 2**31])
def test_a_type_id_that_the_model_does_not_have_is_refused(
    model: LanguageModel, tmp_path: Path, type_id: int
) -> None:
    folder = tmp_path / "copy"
    model.save(folder)
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text("utf-8"))
    document["post_processor"]["pair"][-1]["SpecialToken"]["type_id"] = type_id
    path.write_text(json.dumps(document), "utf-8")
    opened = lk.load(folder, backend="numpy")
    assert opened.classify("a").scores == model.classify("a").scores
    with pytest.raises(CheckpointError, match=rf"tokenizer\.json: .* below 2, .* got {type_id}$"):
        opened.classify(("a", "b"))


def test_a_model_that_tells_nothing_apart_is_refused(tmp_path: Path, model: LanguageModel) -> None:
    with pytest.raises(InputError, match="objective classification, got a llama model that is not"):
        small_llama(tmp_path / "llama").classify("a")
    described = replace(
        model.origin,
        described=type(model.origin.described)(
            {**model.origin.described.values, "problem_type": "regression"}
        ),
    )
    model.origin = described
    with pytest.raises(InputError, match="got one of regression"):
        model.classify("a")
