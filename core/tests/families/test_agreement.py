"""A configuration and the tensors beside it must be of one model; what is not is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small import HF_CONFIG, small_config, values_of
from small_bert import BERT, small_bert
from training_samples import GPT2

from lmkernel import load
from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.errors import CheckpointError
from lmkernel.families.bert import Bert
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.llama import Llama
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.origin import open_files

if TYPE_CHECKING:
    from pathlib import Path

TABLE, HEAD = "model.embed_tokens.weight", "lm_head.weight"
IDS = [[4, 8, 15, 16, 23, 42]]


def tensors_of(**changes: Any) -> dict[str, np.ndarray]:
    config = small_config(**changes)
    model = Model(load_backend(), config)
    return dict(from_ours(values_of(model), Llama().rules(config), model.declare()))


def write(folder: Path, tensors: dict[str, np.ndarray], **changes: Any) -> Path:
    config = {**HF_CONFIG, **changes}
    write_directory(folder, config=config, tensors=tensors.items(), overwrite=True)
    return folder


def complaint(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("tied", [True, False])
def test_b09_names_without_the_prefix_are_read(tmp_path: Path, *, tied: bool) -> None:
    tensors = tensors_of(tie_word_embeddings=tied)
    whole = load(write(tmp_path / "a", tensors, tie_word_embeddings=tied)).logits(IDS)
    bare = {name.removeprefix("model."): x for name, x in tensors.items()}
    folder = write(tmp_path / "b", bare, tie_word_embeddings=tied)
    np.testing.assert_array_equal(load(folder).logits(IDS), whole)


def test_b09_a_tensor_with_the_prefix_and_without_must_be_one(tmp_path: Path) -> None:
    tensors = tensors_of()
    twice = {**tensors, "norm.weight": tensors["model.norm.weight"]}
    load(write(tmp_path / "same", twice))
    twice["norm.weight"] = twice["norm.weight"] + 1
    text = complaint(write(tmp_path / "other", twice))
    assert "the same values of 'model.norm.weight' and 'norm.weight'" in text


def test_b06_a_tied_table_may_have_the_heads_name(tmp_path: Path) -> None:
    tensors = tensors_of()
    whole = load(write(tmp_path / "a", tensors)).logits(IDS)
    tensors[HEAD] = tensors.pop(TABLE)
    loaded = load(write(tmp_path / "b", tensors))
    np.testing.assert_array_equal(loaded.logits(IDS), whole)
    assert loaded.config.head is not None
    assert loaded.config.head.tied


def test_b07_another_head_beside_a_tied_table_is_used(tmp_path: Path) -> None:
    tensors = tensors_of(tie_word_embeddings=False)
    untied = load(write(tmp_path / "a", tensors, tie_word_embeddings=False))
    folder = write(tmp_path / "b", tensors, tie_word_embeddings=True)
    with pytest.warns(UserWarning, match=r"'lm_head\.weight' with other values than 'model\.embed"):
        loaded = load(folder)
    np.testing.assert_array_equal(loaded.logits(IDS), untied.logits(IDS))
    assert loaded.origin.family.write(loaded.config)["tie_word_embeddings"] is False


def test_b07_an_equal_copy_is_tied(tmp_path: Path) -> None:
    tensors = tensors_of()
    loaded = load(write(tmp_path / "a", {**tensors, HEAD: tensors[TABLE].copy()}))
    assert loaded.config.head is not None
    assert loaded.config.head.tied


def test_b07_a_head_of_another_size_is_refused(tmp_path: Path) -> None:
    tensors = {**tensors_of(), HEAD: np.ones((7, 24), np.float32)}
    with pytest.warns(UserWarning, match="both are used"):
        assert "'lm_head.weight'" in complaint(write(tmp_path / "a", tensors))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers: expected a number of layers that there"),
        ({"num_hidden_layers": 3}, "num_hidden_layers: expected a number of layers that there are"),
        ({"num_hidden_layers": 1}, "num_hidden_layers: expected 2 layers, for there is the tensor"),
        ({"vocab_size": 10**9}, "vocab_size: expected 61, got 1000000000"),
        ({"vocab_size": 60}, "vocab_size: expected 61, got 60"),
        ({"hidden_size": 48}, "hidden_size: expected 24, got 48"),
        ({"hidden_size": 10**9}, "hidden_size: expected 24, got 1000000000"),
        ({"intermediate_size": 41}, "intermediate_size: expected 40, got 41"),
        ({"head_dim": 4}, "num_attention_heads × head_dim: expected 48, got 24"),
        ({"head_dim": None}, "num_attention_heads × head_dim: expected 48, got 24"),
        ({"num_attention_heads": 4}, "num_attention_heads × head_dim: expected 48, got 32"),
        ({"num_key_value_heads": 3}, "num_key_value_heads × head_dim: expected 16, got 24"),
        ({"num_key_value_heads": 4}, "num_key_value_heads: expected a divisor of heads=6, got 4"),
        ({"head_dim": 10**9}, "head_dim: expected at most 65536, got 1000000000"),
        ({"head_dim": 7}, "head_dim: expected an even number, got 7"),
        (
            {"rope_scaling": {"type": "linear", "factor": 0}},
            ": factor: expected a number of at least",
        ),
        ({"rms_norm_eps": 0}, "rms_norm_eps: expected a positive number, got 0.0"),
        ({"tie_word_embeddings": False}, "the tensor 'lm_head.weight' is missing"),
        ({"attention_bias": True}, "the tensor 'model.layers.0.self_attn.q_proj.bias' is missing"),
    ],
)
def test_m6_what_the_tensors_contradict_is_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    assert message in complaint(write(tmp_path / "m", tensors_of(), **change))


def test_m6_layers_that_a_stray_number_would_make_many_are_not_believed(tmp_path: Path) -> None:
    tensors = tensors_of()
    tensors["model.layers.999999998.mlp.up_proj.weight"] = np.zeros((40, 24), np.float32)
    text = complaint(write(tmp_path / "m", tensors, num_hidden_layers=999_999_999))
    assert "as there are none of 2, got 999999999" in text


def test_m6_layers_of_which_there_is_nothing_are_missed(tmp_path: Path) -> None:
    tensors = {TABLE: tensors_of()[TABLE]}
    text = complaint(write(tmp_path / "m", tensors, num_hidden_layers=10**9))
    assert "'model.layers.0.input_layernorm.weight', for one, is missing" in text


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "base_model.model."])
def test_what_wrapped_a_model_when_it_was_saved_is_seen_in_the_message(
    tmp_path: Path, prefix: str
) -> None:
    text = complaint(write(tmp_path / "m", {prefix + n: t for n, t in tensors_of().items()}))
    assert f"is missing; there is '{prefix}model.layers.0.input_layernorm.weight'" in text


@pytest.mark.parametrize("said", [None, 1, ["llama"]])
def test_a_family_that_nothing_names_is_missed_as_such(tmp_path: Path, said: object) -> None:
    text = complaint(write(tmp_path / "m", tensors_of(), model_type=said))
    assert f"unsupported model_type: expected the name of a family, got {said!r}" in text


def test_m6_a_family_is_answered_in_its_own_words(tmp_path: Path) -> None:
    family = find_family("gpt2", "a test")
    config = family.read(HfConfig(GPT2))
    model = Model(load_backend(), config)
    tensors = from_ours(values_of(model), family.rules(config), model.declare())
    changed = {**GPT2, "model_type": "gpt2", "n_layer": 10**9}
    write_directory(tmp_path / "m", config=changed, tensors=tensors)
    assert "config.json: n_layer: expected a number of layers" in complaint(tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    path.write_text(json.dumps({**changed, "n_layer": GPT2["n_layer"], "n_embd": 36, "n_head": 5}))
    assert "config.json: n_embd: expected a multiple of heads=5, got 36" in complaint(
        tmp_path / "m"
    )
    path.write_text(json.dumps({**changed, "n_layer": 2, "layer_norm_epsilon": 0}))
    assert "config.json: layer_norm_epsilon: expected a positive" in complaint(tmp_path / "m")
    path.write_text(json.dumps({**changed, "n_layer": GPT2["n_layer"], "vocab_size": 9}))
    assert "; vocab_size: expected" in complaint(tmp_path / "m")


def test_m6_nothing_is_drawn_before_shapes_are_compared(tmp_path: Path) -> None:
    origin = open_files(write(tmp_path / "m", tensors_of(), vocab_size=10**9))
    model = Model(load_backend(), origin.config)
    with pytest.raises(CheckpointError, match="vocab_size: expected 61, got 1000000000"):
        origin.first_weights(model, 5)


def test_keys_that_have_no_effect_are_said_once(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", tensors_of(), sliding_window=7, my_own=[1])
    with pytest.warns(UserWarning, match="'sliding_window', 'my_own'") as caught:
        load(folder)
    assert len(caught) == 1
    assert f"{folder}: config.json: keys that have no effect" in str(caught[0].message)


def test_buffers_of_the_bare_model_are_known(tmp_path: Path) -> None:
    buffers = ("rotary_emb.inv_freq", "model.layers.1.self_attn.rotary_emb.cos_cached")
    load(write(tmp_path / "m", {**tensors_of(), **dict.fromkeys(buffers, np.ones(4, np.float32))}))


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("model.layers.0.self_attn.q_proj.qweight", "GPTQ or AWQ"),
        ("model.layers.0.self_attn.q_proj.weight.absmax", "bitsandbytes"),
        ("model.layers.0.self_attn.q_proj.weight.quant_state.bitsandbytes__nf4", "bitsandbytes"),
        ("model.layers.0.self_attn.q_proj.SCB", "bitsandbytes"),
        ("model.layers.0.self_attn.q_proj.weight_scale_inv", "FP8"),
        ("model.layers.0.self_attn.q_proj.weight_packed", "compressed-tensors"),
        ("model.layers.0.self_attn.q_proj.scales", "MLX"),
    ],
)
def test_names_of_quantised_weights_are_refused(tmp_path: Path, name: str, method: str) -> None:
    tensors = tensors_of()
    del tensors["model.layers.0.self_attn.q_proj.weight"]
    text = complaint(write(tmp_path / "m", {**tensors, name: np.ones(3, np.float32)}))
    assert "expected weights that are floating numbers" in text
    assert f"{method}" in text
    assert f"there is the tensor {name!r}" in text


@pytest.mark.parametrize(
    ("architecture", "sizes", "message"),
    [
        (
            "SequenceClassification",
            {"num_labels": 3},
            "; id2label (or num_labels): expected 3, got",
        ),
        ("TokenClassification", {"num_labels": 3}, "; id2label (or num_labels): expected 3, got 2"),
        ("SequenceClassification", {"vocab_size": 62}, "; vocab_size: expected 62, got 61"),
        ("MaskedLM", {"vocab_size": 62}, "; vocab_size: expected 62, got 61"),
    ],
)
def test_the_key_that_says_how_many_classes_there_are_is_named(
    tmp_path: Path, architecture: str, sizes: dict[str, int], message: str
) -> None:
    config = small_bert(f"BertFor{architecture}", **sizes)
    model = Model(load_backend("numpy"), config)
    tensors = from_ours(values_of(model), Bert().rules(config), model.declare())
    # transformers counts no classes of label2id, either
    said = {"architectures": [f"BertFor{architecture}"], "label2id": {"a": 0, "b": 1, "c": 2}}
    write_directory(tmp_path / "m", config={**BERT, **said}, tensors=tensors)
    assert message in complaint(tmp_path / "m")


def test_a_tensor_that_the_index_leaves_out_is_named_with_its_shard(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    config, tensors = HF_CONFIG, tensors_of()
    write_directory(folder, config=config, tensors=tensors.items(), shard_bytes=9000)
    index = folder / "model.safetensors.index.json"
    table = json.loads(index.read_text())
    shard = table["weight_map"].pop("model.norm.weight")
    index.write_text(json.dumps(table))
    text = complaint(folder)
    assert f"'model.norm.weight' is missing: {index} leaves it out, and its shard {shard!r}" in text
