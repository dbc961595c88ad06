"""Classifiers of decoders: any family's, with its own body and one product after the last token."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from letters import letters
from small import HF_CONFIG, values_of

import lmkernel as lk
from lmkernel.checkpoints.directory import write_directory
from lmkernel.errors import CheckpointError, ConfigError, InputError
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.families.sizes import Sizes
from lmkernel.model import Model
from lmkernel.plugins import FamilySpec, default_registry
from lmkernel.sources.check import check_model

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

DECODERS = [
    name
    for name in default_registry().all(FamilySpec)
    if "causal" in find_family(name, "a test").heads()
]
KIND = {"architectures": ["LlamaForSequenceClassification"]}
NAMES = {"id2label": {"0": "bad", "1": "good"}}


def classifier(folder: Path, **said: Any) -> LanguageModel:
    """A small Llama with a head for classes."""
    document = {**HF_CONFIG, **KIND, **NAMES, **said}
    family = find_family("llama", "a test")
    config = family.read(HfConfig(document))
    model = Model(lk.load_backend("numpy"), config)
    tensors = from_ours(values_of(model), family.rules(config), model.declare())
    write_directory(folder, config=document, tensors=tensors, tokenizer=letters())
    return lk.load(folder, backend="numpy")


@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_can_be_a_classifier(name: str) -> None:
    family = find_family(name, "a test")
    assert family.heads()["classification"] is not None


def test_a_row_has_the_classes_of_its_last_token(tmp_path: Path) -> None:
    model = classifier(tmp_path)
    found = model.classify(["abc", "a", "hello"])
    assert [list(one.scores) for one in found] == [["bad", "good"]] * 3
    hidden = model.hidden_states("abc")[-1][-1].astype(np.float64)
    weight = model.parameters()["head.weight"].astype(np.float64)
    np.testing.assert_allclose(model.logits("abc"), weight @ hidden, rtol=1e-4, atol=1e-5)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    model = classifier(tmp_path / "a")
    model.save(tmp_path / "b")
    written = json.loads((tmp_path / "b" / "config.json").read_text())
    assert written["architectures"] == KIND["architectures"]
    assert written["label2id"] == {"bad": 0, "good": 1}
    again = lk.load(tmp_path / "b", backend="numpy")
    assert again.config == model.config
    np.testing.assert_array_equal(again.logits("abc"), model.logits("abc"))


def test_a_reward_has_no_name_and_one_output(tmp_path: Path) -> None:
    model = classifier(tmp_path, id2label={"0": "LABEL_0"})
    assert (model.config.head.size, model.config.head.labels) == (1, ())
    assert set(model.classify("abc").scores) == {"LABEL_0"}


@pytest.mark.parametrize(("said", "skipped"), [(2, 2), (None, None), (-1, None), (10**6, None)])
def test_the_last_token_is_not_padding(tmp_path: Path, said: int | None, skipped: int) -> None:
    model = classifier(tmp_path / "a", pad_token_id=said)
    assert model.config.head.skipped == skipped
    model.save(tmp_path / "b")
    written = json.loads((tmp_path / "b" / "config.json").read_text())
    assert written["pad_token_id"] == skipped
    assert lk.load(tmp_path / "b", backend="numpy").config == model.config
    for ids, last in ([[5, 2, 6, 2, 2], 2], [[2, 2], 0], [[4, 2], 0], [[2, 7], 1]):
        hidden = model.hidden_states(ids)[-1][last if skipped == 2 else -1].astype(np.float64)
        weight = model.parameters()["head.weight"].astype(np.float64)
        np.testing.assert_allclose(model.logits(ids), weight @ hidden, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("said", ["2", True, [2]])
def test_padding_that_is_no_id_is_named(tmp_path: Path, said: Any) -> None:
    with pytest.raises(CheckpointError, match="pad_token_id: expected a token's id, or null"):
        classifier(tmp_path, pad_token_id=said)


@pytest.mark.parametrize("name", DECODERS)
def test_a_class_says_which_token_is_padding(name: str) -> None:
    """What transformers' configurations have where a file says nothing."""
    zeros = ("gemma", "gemma2", "gemma3_text", "cohere2", "ernie4_5")
    ones = ("olmo2", "olmo3", "olmoe", "opt", "seed_oss")
    known = {**dict.fromkeys(zeros, 0), **dict.fromkeys(ones, 1)}
    known |= {"phi3": 32000, "smollm3": 128004, "glm": 151329, "glm4": 151329}
    keys = find_family(name, "a test").keys
    assert keys is not None
    assert keys.read["pad_token_id"] == known.get(name)


def bare(folder: Path, **said: Any) -> LanguageModel:
    """A small Llama without a head, as transformers writes it: names have no first part."""
    document = {**HF_CONFIG, "architectures": ["LlamaModel"], **said}
    family = find_family("llama", "a test")
    config = family.read(HfConfig(document))
    model = Model(lk.load_backend("numpy"), config)
    tensors = from_ours(values_of(model), family.rules(config), model.declare())
    short = [(name.removeprefix("model."), value) for name, value in tensors]
    write_directory(folder, config=document, tensors=short, tokenizer=letters())
    return lk.load(folder, backend="numpy")


UNTIED: dict[str, Any] = {"tie_word_embeddings": False}


@pytest.mark.parametrize("kind", ["a classifier", "a bare model"])
def test_what_a_source_fetched_may_be_one(kind: str, tmp_path: Path) -> None:
    classifier(tmp_path) if kind == "a classifier" else bare(tmp_path, **UNTIED)
    check_model(tmp_path)


def test_a_bare_model_gives_vectors_and_is_written_as_one(tmp_path: Path) -> None:
    model = bare(tmp_path / "a", **UNTIED)
    assert model.config.head is None
    vectors, hidden = model.embed(["abc"]), model.hidden_states("abc")[-1]
    assert np.shape(vectors) == (1, hidden.shape[-1])
    assert len(model.attention_weights("abc"))
    model.save(tmp_path / "b")
    written = json.loads((tmp_path / "b" / "config.json").read_text())
    assert written["architectures"] == ["LlamaModel"]
    assert written["tie_word_embeddings"] is False
    again = lk.load(tmp_path / "b", backend="numpy")
    assert again.config == model.config
    np.testing.assert_array_equal(again.hidden_states("abc")[-1], hidden)


def test_a_bare_model_predicts_nothing_and_says_so(tmp_path: Path) -> None:
    model = bare(tmp_path, **UNTIED)
    with pytest.raises(InputError, match="that predicts tokens, got one without a head"):
        str(model.generate("abc", max_new_tokens=2))
    with pytest.raises(InputError, match="with a head, which gives logits, got one without"):
        model.logits("abc")
    with pytest.raises(InputError, match="predicts each token from those before"):
        lk.perplexity(model, "abc")


def test_a_head_that_a_bare_models_file_holds_is_used(tmp_path: Path) -> None:
    """As `AutoModelForCausalLM` of transformers uses it, whatever class is named."""
    whole = bare(tmp_path / "a", architectures=["LlamaForCausalLM"], **UNTIED)
    path = tmp_path / "a" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "architectures": ["LlamaModel"]}))
    said = r"architectures names LlamaModel, which has no head, and the file holds 'lm_head.weight'"
    with pytest.warns(UserWarning, match=said):
        model = lk.load(tmp_path / "a", backend="numpy")
    np.testing.assert_array_equal(model.logits("abc"), whole.logits("abc"))
    model.save(tmp_path / "b")
    again = json.loads((tmp_path / "b" / "config.json").read_text())
    assert again["architectures"] == ["LlamaForCausalLM"]


def test_a_bare_model_that_is_tied_has_its_table_as_a_head(tmp_path: Path) -> None:
    model = bare(tmp_path, tie_word_embeddings=True)
    assert model.config.head.tied
    assert len(model.logits("abc")) == 3


def test_a_model_that_lacks_its_head_is_damaged(tmp_path: Path) -> None:
    bare(tmp_path, **UNTIED)
    path = tmp_path / "config.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "architectures": ["LlamaForCausalLM"]}))
    with pytest.raises(CheckpointError, match=r"lm_head\.weight"):
        lk.load(tmp_path, backend="numpy")


@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_is_read_and_written_without_a_head(name: str) -> None:
    family = find_family(name, "a test")
    sizes = Sizes(width=32, layers=1, heads=2, inner=48, context=16, vocab=40)
    described = {} if name == "bloom" else family.new(sizes)  # which has small defaults
    config = family.read(HfConfig({"model_type": name, **described}))
    written = family.write(replace(config, head=None))
    assert written["architectures"][0].endswith("Model")
    again = family.read(HfConfig(written))
    assert again.head is None
    names = [rule.ours for rule in family.rules(again)]
    assert not any(str(ours).startswith("head.") for ours in names)


def test_a_bare_model_learns_classes_and_not_to_predict(tmp_path: Path) -> None:
    bare(tmp_path / "a", **UNTIED)
    data = tmp_path / "a.jsonl"
    rows = [{"text": f"a{'bc'[n % 2]}", "label": ("x", "y")[n % 2]} for n in range(8)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options: dict[str, Any] = {"steps": 1, "batch": 4, "progress": False}
    with pytest.raises(ConfigError, match="objective 'causal': expected a model that predicts"):
        lk.finetune(tmp_path / "a", data, objective="causal", out=tmp_path / "b", **options)
    run = lk.finetune(
        tmp_path / "a", data, objective="classification", out=tmp_path / "c", **options
    )
    found = lk.load(run.model, backend="numpy")
    assert set(found.classify("ab").scores) == {"x", "y"}


def test_it_writes_no_text(tmp_path: Path) -> None:
    model = classifier(tmp_path)
    with pytest.raises(InputError, match="predicts each token from those before"):
        lk.perplexity(model, "abc")
    with pytest.raises(InputError, match="a head for each position, got one that pools"):
        model.generate("abc", max_new_tokens=2).text  # noqa: B018 - runs it


def test_what_a_decoder_is_not_trained_for_is_named() -> None:
    with pytest.raises(ConfigError, match="trained by causal or instruction or classification"):
        find_family("llama", "a test", "tagging")
