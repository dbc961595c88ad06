"""Classifiers of decoders: any family's, with its own body and one product after the last token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from letters import letters
from small import HF_CONFIG, values_of

import lmkernel as lk
from lmkernel.checkpoints.directory import write_directory
from lmkernel.errors import ConfigError, InputError
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.plugins import FamilySpec, default_registry

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


def test_it_writes_no_text(tmp_path: Path) -> None:
    model = classifier(tmp_path)
    with pytest.raises(InputError, match="predicts each token from those before"):
        lk.perplexity(model, "abc")
    with pytest.raises(InputError, match="a head for each position, got one that pools"):
        model.generate("abc", max_new_tokens=2).text  # noqa: B018 - runs it


def test_what_a_decoder_is_not_trained_for_is_named() -> None:
    with pytest.raises(ConfigError, match="trained by causal or instruction or classification"):
        find_family("llama", "a test", "tagging")
