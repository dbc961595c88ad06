"""Encoders: every head of every family is written and read, and what they cannot be is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from encoder_kinds import ENCODERS
from small import values_of

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import read_directory, write_directory
from lmkernel.config import HeadConfig, TransformerConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.agreement import agreed_config
from lmkernel.families.albert import Albert
from lmkernel.families.deberta import Deberta
from lmkernel.families.distilbert import DistilBert
from lmkernel.families.electra import Electra
from lmkernel.families.encoder_heads import kind_of
from lmkernel.families.family import HfConfig
from lmkernel.families.files import hf_configuration
from lmkernel.families.modernbert import ModernBert
from lmkernel.families.mpnet import MpNet
from lmkernel.families.names import from_ours, to_ours
from lmkernel.families.roberta import Roberta, XlmRoberta
from lmkernel.families.sizes import Sizes
from lmkernel.model import Model
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.config import ModelConfig
    from lmkernel.families.encoder import EncoderFamily

FAMILIES: dict[str, EncoderFamily] = {
    "Roberta": Roberta(),
    "XLMRoberta": XlmRoberta(),
    "DistilBert": DistilBert(),
    "Electra": Electra(),
    "MPNet": MpNet(),
    "Albert": Albert(),
    "ModernBert": ModernBert(),
    "DebertaV2": Deberta(),
}
KINDS = {
    name: (FAMILIES[config.removesuffix("Config")], model, options)
    for name, (config, model, options) in ENCODERS.items()
    if config.removesuffix("Config") in FAMILIES
}


def described(name: str, **changes: Any) -> tuple[EncoderFamily, HfConfig]:
    family, model, options = KINDS[name]
    values = {**options, "architectures": [model], **changes}
    if "id2label" in values:
        values["id2label"] = {str(i): label for i, label in values["id2label"].items()}
    return family, HfConfig(values)


def read(name: str, **changes: Any) -> ModelConfig:
    family, config = described(name, **changes)
    return family.read(config)


@pytest.mark.parametrize("name", KINDS)
def test_configuration_survives_the_way_there_and_back(name: str) -> None:
    config = read(name)
    family, model, _ = KINDS[name]
    written = family.write(config)
    assert written["architectures"] == [model]
    assert family.read(HfConfig(written)) == config


@pytest.mark.parametrize("name", KINDS)
def test_values_survive_the_way_there_and_back(name: str, tmp_path: Path) -> None:
    config, (family, _, _) = read(name), KINDS[name]
    model = Model(load_backend(), config)
    values = {n: v + 0.1 if n.endswith(".bias") else v for n, v in values_of(model).items()}
    rules = family.rules(config)
    tensors = dict(from_ours(values, rules, model.declare()))
    write_directory(tmp_path / "m", config=family.write(config), tensors=tensors.items())
    files = read_directory(tmp_path / "m")
    assert agreed_config(family, HfConfig(files.config), files.tensors) == config
    got = to_ours(files.tensors, rules, model.declare(), where="m", ignored=family.ignored(config))
    assert got.keys() == values.keys()
    assert all((got[n] == values[n]).all() for n in got)


@pytest.mark.parametrize("name", [n for n in KINDS if n.endswith(("SequenceClassification",))])
def test_heads_for_training_are_those_of_the_file(name: str) -> None:
    family, config = described(name)
    whole = family.read(config)
    assert whole.head is not None
    made = family.heads()["classification"]
    assert made is not None
    assert made(config, whole.head.labels) == whole.head


def test_positions_begin_after_padding() -> None:
    embedding = read("roberta MaskedLM", max_position_embeddings=514).embedding
    assert (embedding.offset, embedding.context) == (2, 512)
    embedding = read("roberta MaskedLM", pad_token_id=4).embedding
    assert (embedding.offset, embedding.context) == (5, 15)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("roberta MaskedLM", {"pad_token_id": None}, "'pad_token_id' is missing"),
        ("roberta MaskedLM", {"max_position_embeddings": 2}, "expected more than 2, got 2"),
        ("roberta MaskedLM", {"architectures": ["RobertaForCausalLM"]}, "one of RobertaModel, "),
        ("distilbert Model", {"dim": 0}, "config.json: dim: expected a positive integer, got 0"),
        ("distilbert Model", {"activation": "x"}, "config.json: activation: expected one of"),
        ("distilbert Model", {"hidden_size": 3}, "hidden_size: expected 48, which dim says"),
        ("electra MultipleChoice", {"summary_type": "mean"}, "summary_type: expected 'first'"),
        ("mpnet Model", {"relative_attention_num_buckets": 16}, "expected 32, all that is supp"),
        ("albert Model", {"num_hidden_groups": 3}, "a divisor of num_hidden_layers=4, got 3"),
        ("albert Model", {"inner_group_num": 2}, "inner_group_num: expected 1, all that"),
        ("albert Model", {"num_hidden_layers": 10**6}, "num_hidden_layers: expected at most 10000"),
        ("modernbert Model", {"rope_scaling": {"factor": 2.0}}, "rope_scaling: expected None"),
        ("modernbert Model", {"layer_types": ["x"] * 4}, "full_attention or sliding_attention"),
        (
            "roberta QuestionAnswering",
            {"id2label": {0: "a", 1: "b", 2: "c"}},
            "id2label: expected two labels, for start and end",
        ),
    ],
)
def test_bad_configuration_names_the_key(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read(name, **changes)


def test_layers_share_weights() -> None:
    config = read("albert Model")
    assert isinstance(config.encoder, TransformerConfig)
    assert config.encoder.own(["a", "b"]) == ["a", "a", "b", "b"]
    names = values_of(Model(load_backend(), config))
    assert {n.split(".")[2] for n in names if n.startswith("encoder.layers.")} == {"0", "1"}


def test_a_number_of_groups_that_the_tensors_contradict_is_named(tmp_path: Path) -> None:
    config, family = read("albert Model"), Albert()
    model = Model(load_backend(), config)
    tensors = from_ours(values_of(model), family.rules(config), model.declare())
    claims = {**family.write(config), "num_hidden_groups": 1}
    write_directory(tmp_path / "m", config=claims, tensors=tensors)
    files = read_directory(tmp_path / "m")
    with pytest.raises(CheckpointError, match="num_hidden_groups: expected 2 layers"):
        agreed_config(family, HfConfig(files.config), files.tensors)


def test_keys_of_older_modernberts() -> None:
    config = read(
        "modernbert Model",
        num_hidden_layers=5,
        global_attn_every_n_layers=2,
        global_rope_theta=5e4,
        local_rope_theta=2e3,
    )
    stack = config.encoder
    assert isinstance(stack, TransformerConfig)
    windows = [stack.layer(i).attention.window for i in range(5)]
    assert windows == [None, 4, None, 4, None]
    assert [r.theta for r in config.embedding.rotaries] == [5e4, 2e3]
    assert not stack.layer(0).first_norm
    assert stack.layer(1).first_norm


@pytest.mark.parametrize("head", ["tokens", "span", "choice"])
def test_a_head_says_what_it_is_for(head: str) -> None:
    assert kind_of(HeadConfig(width=8, size=1, task=head)) == head


def test_a_head_that_a_family_lacks_is_refused() -> None:
    config = read("electra PreTraining")
    with pytest.raises(
        CheckpointError, match=r"expected a head among pooled, masked, .* detection"
    ):
        hf_configuration(config, Roberta())


@pytest.mark.parametrize("name", ["roberta MaskedLM", "mpnet MaskedLM"])
def test_a_new_tokenizer_pads_with_the_id_that_positions_begin_after(name: str) -> None:
    family = KINDS[name][0]
    sizes = Sizes(width=24, layers=1, heads=2, inner=24, context=30, vocab=300)
    made = family.read(HfConfig({"model_type": family.model_type, **family.new(sizes)}))
    own = train_tokenizer(["abc"], 300, family.special_tokens())
    assert own.pad_id is not None
    assert made.embedding.offset == own.pad_id + 1
    assert made.context == 30
