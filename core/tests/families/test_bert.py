"""BERT: three heads told apart by the architecture, each of them written and read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small import values_of
from small_bert import BERT, HEADS, small_bert

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import read_directory, write_directory
from lmkernel.config import TransformerConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.agreement import checkpoint_rules
from lmkernel.families.bert import Bert
from lmkernel.families.family import HfConfig
from lmkernel.families.names import from_ours, to_ours
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.config import ModelConfig

MODEL, MASKED, CLASSES = HEADS


@pytest.mark.parametrize("architecture", HEADS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden_act": "gelu_new", "initializer_range": 0.5, "type_vocab_size": 3},
        {"classifier_dropout": 0.2, "id2label": {"0": "no", "1": "perhaps", "2": "yes"}},
    ],
)
def test_configuration_survives_the_way_there_and_back(
    architecture: str, changes: dict[str, Any]
) -> None:
    config = small_bert(architecture, **changes)
    assert Bert().read(HfConfig(Bert().write(config))) == config


def test_an_untied_table_survives_too() -> None:
    config = small_bert(MASKED, tie_word_embeddings=False)
    assert config.head is not None
    assert not config.head.tied
    assert Bert().read(HfConfig(Bert().write(config))) == config


def test_rates_and_labels_reach_their_places() -> None:
    config = small_bert(CLASSES, id2label={"0": "no", "1": "yes", "2": "maybe"})
    assert isinstance(config.encoder, TransformerConfig)
    assert config.head is not None
    assert config.head.dropout == config.encoder.dropout == config.embedding.dropout == 0.3
    assert config.head.labels == ("no", "yes", "maybe")
    assert small_bert(CLASSES, classifier_dropout=0.1).head != config.head
    written = Bert().write(config)
    assert written["label2id"] == {"no": 0, "yes": 1, "maybe": 2}
    assert written["attention_probs_dropout_prob"] == 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architectures": ["BertForNextSentencePrediction"]},
            "architectures: expected one of BertM",
        ),
        ({"architectures": "BertModel"}, "architectures: expected a list of names"),
        ({"is_decoder": True}, "is_decoder: expected False, all that is supported, got True"),
        ({"position_embedding_type": "relative_key"}, "expected 'absolute', all that is supported"),
        ({"id2label": {"1": "a"}}, "id2label: expected an object with the keys 0, 1, …"),
    ],
)
def test_bad_configuration_names_the_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        small_bert(CLASSES, **changes)


def values_and_tensors(config: ModelConfig) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Values of ours, and the checkpoint's tensors of them."""
    model = Model(load_backend(), config)
    values = {n: v + 0.1 if n.endswith(".bias") else v for n, v in values_of(model).items()}
    return values, dict(from_ours(values, Bert().rules(config), model.declare()))


def read(
    folder: Path, tensors: dict[str, np.ndarray], config: ModelConfig, **options: Any
) -> dict[str, np.ndarray]:
    write_directory(folder, config=BERT, tensors=tensors.items(), overwrite=True)
    declared = Model(load_backend(), config).declare()
    family = Bert()
    return to_ours(
        read_directory(folder).tensors,
        checkpoint_rules(family, config),
        declared,
        where="bert",
        ignored=family.ignored(config),
        **options,
    )


def same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return got.keys() == expected.keys() and all((got[n] == expected[n]).all() for n in got)


@pytest.mark.parametrize("architecture", HEADS)
@pytest.mark.parametrize("tied", [True, False])
def test_values_survive_the_way_there_and_back(
    architecture: str, tmp_path: Path, *, tied: bool
) -> None:
    config = small_bert(architecture, tie_word_embeddings=tied)
    values, tensors = values_and_tensors(config)
    assert same(read(tmp_path / "m", tensors, config), values)


def test_only_the_bare_model_has_no_prefix() -> None:
    for architecture in HEADS:
        names = values_and_tensors(small_bert(architecture))[1]
        bare = "embeddings.LayerNorm.weight" in names
        assert bare == (architecture == MODEL)
        assert bare != ("bert.embeddings.LayerNorm.weight" in names)


def test_names_of_old_checkpoints_are_read(tmp_path: Path) -> None:
    config = small_bert(MASKED)
    values, tensors = values_and_tensors(config)
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): x
        for name, x in tensors.items()
    }
    assert old.keys() != tensors.keys()
    old["bert.embeddings.position_ids"] = np.arange(16, dtype=np.int64)[None]
    old["cls.predictions.decoder.weight"] = old["bert.embeddings.word_embeddings.weight"]
    old["cls.seq_relationship.weight"] = np.zeros((2, 24), np.float32)
    old["bert.pooler.dense.weight"] = np.zeros((24, 24), np.float32)
    assert same(read(tmp_path / "m", old, config), values)


def test_a_new_head_over_an_old_body(tmp_path: Path) -> None:
    values, tensors = values_and_tensors(small_bert(MASKED))
    config = small_bert(CLASSES, num_labels=3)
    start = Model(load_backend(), config).initial(9)
    heads = {name for name in start if name.startswith("head.")}
    got = read(tmp_path / "m", tensors, config, optional=heads)
    assert same(got, {name: values[name] for name in start if name not in heads})


def test_a_head_that_is_not_there_is_missed(tmp_path: Path) -> None:
    tensors = values_and_tensors(small_bert(MASKED))[1]
    with pytest.raises(CheckpointError, match=r"'bert.pooler.dense.weight' is missing"):
        read(tmp_path / "m", tensors, small_bert(CLASSES))


def test_an_output_of_its_own_has_a_bias_of_its_own(tmp_path: Path) -> None:
    config = small_bert(MASKED, tie_word_embeddings=False)
    values, tensors = values_and_tensors(config)
    bias = tensors["cls.predictions.decoder.bias"]
    assert same(read(tmp_path / "m", {**tensors, "cls.predictions.bias": bias + 1}, config), values)
    tensors["cls.predictions.bias"] = tensors.pop("cls.predictions.decoder.bias")
    assert same(read(tmp_path / "old", tensors, config), values)


def test_a_tensor_that_no_head_has_is_named(tmp_path: Path) -> None:
    tensors = values_and_tensors(small_bert(MASKED))[1]
    tensors["cls.predictions.extra.weight"] = np.zeros(3, np.float32)
    with pytest.raises(CheckpointError, match=r"such as 'cls\.predictions\.extra\.weight'"):
        read(tmp_path / "m", tensors, small_bert(MASKED))
