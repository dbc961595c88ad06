"""The Llama family: configurations and tensors map both ways; what does not fit is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from small import HF_CONFIG, small_config, values_of, write_small

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import read_directory, write_directory
from lmkernel.errors import CheckpointError
from lmkernel.families.family import HfConfig
from lmkernel.families.llama import Llama
from lmkernel.families.names import Rule, from_ours, to_ours
from lmkernel.loading import open_language_model
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False},
        {"rope_scaling": SCALING},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 7.0, "factor": 2.0}},
        {"hidden_act": "gelu_pytorch_tanh", "num_key_value_heads": 6},
    ],
)
def test_configuration_survives_the_way_there_and_back(changes: dict[str, object]) -> None:
    config = small_config(**changes)
    assert Llama().read(HfConfig(Llama().write(config))) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_size": "24"}, "hidden_size: expected a positive integer, got '24'"),
        ({"hidden_act": "swish9"}, "hidden_act: expected one of silu"),
        ({"rope_scaling": {"rope_type": "su"}}, "rope_type: expected one of default"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings: expected true or false"),
    ],
)
def test_bad_configuration_names_the_key(changes: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        small_config(**changes)


def test_checkpoint_gives_the_same_logits(tmp_path: Path) -> None:
    model = Model(load_backend(), small_config())
    values = write_small(tmp_path / "m", model)
    loaded = open_language_model(tmp_path / "m", load_backend())
    backend = model.backend
    with backend.scope():
        tokens = [[4, 8, 15, 16, 23, 42]]
        direct = model.forward(model.pack(values), backend.ops.asarray(tokens, "int32"))
        expected = backend.ops.to_numpy(direct)
    np.testing.assert_array_equal(loaded.logits(tokens), expected)


def load_error(tmp_path: Path, tensors: dict[str, np.ndarray], **config: object) -> str:
    """Write a checkpoint of these tensors; returns what loading it says."""
    write_directory(tmp_path / "d", config={**HF_CONFIG, **config}, tensors=tensors.items())
    with pytest.raises(CheckpointError) as caught:
        open_language_model(tmp_path / "d", load_backend())
    assert str(tmp_path / "d") in str(caught.value)
    return str(caught.value)


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    model = Model(load_backend(), small_config())
    return dict(from_ours(values_of(model), Llama().rules(model.config), model.declare()))


def test_missing_tensor_is_named(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    del tensors["model.layers.1.mlp.up_proj.weight"]
    assert "'model.layers.1.mlp.up_proj.weight' is missing" in load_error(tmp_path, tensors)


def test_surplus_tensor_is_named(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    tensors["model.layers.2.mlp.up_proj.weight"] = np.zeros((40, 24), np.float32)
    assert "num_hidden_layers: expected 3 layers, for there is" in load_error(tmp_path, tensors)


def test_unknown_tensor_is_named(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    tensors["model.layers.1.mlp.router.weight"] = np.zeros((40, 24), np.float32)
    assert "no place for, such as 'model.layers.1.mlp.router" in load_error(tmp_path, tensors)


def test_other_shape_is_named(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    text = load_error(tmp_path, tensors, intermediate_size=44)
    assert "expects the shape (44, 24), the file holds (40, 24)" in text


def test_unsupported_model_type_lists_the_supported(
    tmp_path: Path, tensors: dict[str, np.ndarray]
) -> None:
    text = load_error(tmp_path, tensors, model_type="lama")
    assert "'lama'" in text
    assert "'llama'" in text


def test_buffers_and_a_tied_copy_are_ignored(
    tmp_path: Path, tensors: dict[str, np.ndarray]
) -> None:
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.zeros(4, np.float32)
    write_directory(tmp_path / "d", config=HF_CONFIG, tensors=tensors.items())
    open_language_model(tmp_path / "d", load_backend())


def test_rules_fuse_and_transpose_both_ways(tmp_path: Path) -> None:
    model = Model(load_backend(), small_config())
    declared = {
        "a": {"weight": model.declare()["decoder"]["layers"][0]["attention"]["k"]["weight"]}
    }
    declared["b"] = declared["a"]
    rules = [Rule("fused", ("a.weight", "b.weight"), transpose=True)]
    generator = np.random.default_rng(3)
    values = {n: generator.random((16, 24), np.float32) for n in ("a.weight", "b.weight")}
    written = dict(from_ours(values, rules, declared))
    assert written["fused"].shape == (24, 32)
    write_directory(tmp_path / "d", config={}, tensors=written.items())
    read = to_ours(read_directory(tmp_path / "d").tensors, rules, declared, where="d")
    assert all((read[name] == values[name]).all() for name in values)
