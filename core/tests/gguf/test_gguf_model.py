"""A GGUF file in Hugging Face's vocabulary: names, values, configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest
from gguf_samples import HEADS, HIDDEN, INNER, KEYS, LAYERS, WIDTH, WORDS, weights, write_gguf

from lmkernel.checkpoints import open_model
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

Kind = gguf.GGMLQuantizationType


def pairs_to_halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """Row 2i+j of a head becomes row i + j·width/2, written as loops."""
    width = len(rows) // heads
    out = np.empty_like(rows)
    for head in range(heads):
        for i in range(width // 2):
            for j in range(2):
                out[head * width + i + j * width // 2] = rows[head * width + 2 * i + j]
    return out


def test_names_are_hugging_faces_in_the_order_of_use(tmp_path: Path) -> None:
    names = open_model(write_gguf(tmp_path / "x.gguf")).tensors.names()
    assert names[:4] == (
        "model.embed_tokens.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.k_proj.weight",
    )
    assert names[5:10] == tuple(
        f"model.layers.0.{name}.weight"
        for name in (
            "self_attn.o_proj",
            "post_attention_layernorm",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj",
        )
    )
    assert names[-1] == "model.norm.weight"
    assert len(names) == 2 + 9 * LAYERS


def test_float32_is_a_view_and_queries_and_keys_are_unpermuted(tmp_path: Path) -> None:
    tensors, source = open_model(write_gguf(tmp_path / "x.gguf")).tensors, weights()
    value = tensors.read("model.layers.1.self_attn.v_proj.weight")
    assert np.shares_memory(value, tensors.read("model.layers.1.self_attn.v_proj.weight"))
    np.testing.assert_array_equal(value, source["blk.1.attn_v.weight"])
    for role, heads in (("q", HEADS), ("k", KEYS)):
        values = tensors.read(f"model.layers.1.self_attn.{role}_proj.weight")
        expected = pairs_to_halves(source[f"blk.1.attn_{role}.weight"], heads)
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3"])
def test_rows_of_qwen_lie_as_they_are_used(tmp_path: Path, architecture: str) -> None:
    path = write_gguf(tmp_path / "x.gguf", architecture=architecture)
    tensors, source = open_model(path).tensors, weights(architecture)
    for role in "qk":
        values = tensors.read(f"model.layers.1.self_attn.{role}_proj.weight")
        np.testing.assert_array_equal(values, source[f"blk.1.attn_{role}.weight"])


@pytest.mark.parametrize(
    ("architecture", "own"),
    [
        ("qwen2", ("q_proj.bias", "k_proj.bias", "v_proj.bias")),
        ("qwen3", ("q_norm.weight", "k_norm.weight")),
    ],
)
def test_each_architecture_has_tensors_of_its_own(
    tmp_path: Path, architecture: str, own: tuple[str, ...]
) -> None:
    names = open_model(write_gguf(tmp_path / "x.gguf", architecture=architecture)).tensors.names()
    plain = open_model(write_gguf(tmp_path / "llama.gguf")).tensors.names()
    expected = {f"model.layers.{i}.self_attn.{leaf}" for i in range(LAYERS) for leaf in own}
    assert set(names) - set(plain) == expected
    assert [name for name in names if name in plain] == list(plain)


def test_a_tensor_of_another_architecture_has_no_place(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", tensors=weights("qwen2"))
    with pytest.raises(CheckpointError, match=r"'blk\.\d\.attn_\w\.bias' has no place in a llama"):
        open_model(path)


@pytest.mark.parametrize(
    ("kind", "dtype", "bound"),
    [
        (Kind.F16, "float16", 2e-3),
        (Kind.BF16, "bfloat16", 2e-2),
        (Kind.Q8_0, "float32", 2e-2),
        (Kind.Q5_0, "float32", 0.2),
        (Kind.Q5_1, "float32", 0.2),
        (Kind.Q4_0, "float32", 0.4),
        (Kind.Q4_1, "float32", 0.4),
    ],
)
def test_quantised_values_come_as_their_quantisation_has_them(
    tmp_path: Path, kind: Kind, dtype: str, bound: float
) -> None:
    tensors, source = open_model(write_gguf(tmp_path / "x.gguf", kind=kind)).tensors, weights()
    name, values = "model.embed_tokens.weight", source["token_embd.weight"]
    assert tensors.dtype(name) == dtype
    assert tensors.shape(name) == (WORDS, HIDDEN)
    read = tensors.read(name, "float32")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, gguf.dequantize(gguf.quantize(values, kind), kind))
    assert 0 < np.max(np.abs(read - values)) < bound


@pytest.mark.parametrize("kind", [Kind.Q4_K, Kind.Q5_K, Kind.Q6_K, Kind.Q2_K, Kind.IQ4_XS])
def test_blocks_of_256_are_dequantised(tmp_path: Path, kind: Kind) -> None:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = np.full((WORDS, HIDDEN * 4 // block * size), 0x15, np.uint8)
    change = {"llama.embedding_length": HIDDEN * 4, "llama.attention.key_length": WIDTH}
    path = write_gguf(
        tmp_path / "x.gguf", tensors=weights() | {"token_embd.weight": (data, kind)}, change=change
    )
    read = open_model(path).tensors.read("model.embed_tokens.weight")
    assert read.shape == (WORDS, HIDDEN * 4)
    np.testing.assert_array_equal(read, gguf.dequantize(data, kind))


def test_quantisation_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    block, size = gguf.GGML_QUANT_SIZES[Kind.Q8_1]
    data = np.zeros((WORDS, HIDDEN // block * size), np.uint8)
    tensors = weights() | {"token_embd.weight": (data, Kind.Q8_1)}
    model = open_model(write_gguf(tmp_path / "x.gguf", tensors=tensors))
    with pytest.raises(CheckpointError, match=r"'token_embd\.weight' is quantised as Q8_1"):
        model.tensors.read("model.embed_tokens.weight")


def test_configuration_is_complete(tmp_path: Path) -> None:
    config = open_model(write_gguf(tmp_path / "x.gguf")).config
    assert config == {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 259,
        "eos_token_id": 260,
        "head_dim": WIDTH,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "initializer_range": 0.02,
        "intermediate_size": INNER,
        "max_position_embeddings": 128,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": KEYS,
        "rms_norm_eps": 1e-5,
        "rope_scaling": None,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": WORDS,
    }


@pytest.mark.parametrize(
    ("architecture", "flags"), [("qwen2", set()), ("qwen3", {"attention_bias"})]
)
def test_configuration_says_what_the_architecture_has(
    tmp_path: Path, architecture: str, flags: set[str]
) -> None:
    config = open_model(write_gguf(tmp_path / "x.gguf", architecture=architecture)).config
    assert config["model_type"] == architecture
    assert config["architectures"] == [f"{architecture.capitalize()}ForCausalLM"]
    assert {key for key in config if key.endswith("_bias")} == flags
    assert config["head_dim"] == WIDTH


def test_head_of_its_own_is_untied_and_last(tmp_path: Path) -> None:
    head = np.ones((WORDS, HIDDEN), np.float32)
    model = open_model(write_gguf(tmp_path / "x.gguf", tensors=weights() | {"output.weight": head}))
    assert model.config["tie_word_embeddings"] is False
    assert model.tensors.names()[-1] == "lm_head.weight"


def test_absent_fields_take_the_formats_defaults(tmp_path: Path) -> None:
    change = {"llama.attention.head_count_kv": None, "llama.rope.freq_base": None}
    tensors = weights()
    for layer in range(LAYERS):
        tensors[f"blk.{layer}.attn_k.weight"] = tensors[f"blk.{layer}.attn_q.weight"]
    config = open_model(write_gguf(tmp_path / "x.gguf", tensors=tensors, change=change)).config
    assert (config["num_key_value_heads"], config["rope_theta"]) == (HEADS, 10000.0)


def test_linear_scaling_of_positions_is_kept(tmp_path: Path) -> None:
    change = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    config = open_model(write_gguf(tmp_path / "x.gguf", change=change)).config
    assert config["rope_scaling"] == {"rope_type": "linear", "factor": 4.0}


def test_ids_that_end_a_text_include_the_end_of_a_turn(tmp_path: Path) -> None:
    generation = open_model(write_gguf(tmp_path / "x.gguf")).generation_config
    assert generation["eos_token_id"] == [260, 261]
    assert generation["bos_token_id"] == 259


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"llama.block_count": None}, "the key 'llama.block_count' is missing"),
        ({"llama.embedding_length": "64"}, "llama.embedding_length: expected a positive integer"),
        ({"llama.attention.head_count": 0}, "head_count: expected a positive integer, got 0"),
        ({"llama.attention.layer_norm_rms_epsilon": -1.0}, "epsilon: expected a positive number"),
        ({"llama.rope.dimension_count": 8}, "dimension_count: expected the width of a head, 16"),
        ({"llama.expert_count": 4}, "'blk.0.ffn_down.weight' has no place in a mixtral model"),
        ({"llama.rope.scaling.type": "ntk"}, "none, linear, yarn, longrope, got 'ntk'"),
        ({"llama.rope.scaling.factor": -2.0}, "expected a positive number, got -2.0"),
        ({"llama.attention.value_length": 8}, "value_length: expected the width of a head, 16"),
        ({"llama.logit_scale": 0.5}, "logit_scale: expected 0.0, all that is supported, got 0.5"),
        ({"llama.attention.head_count_kv": [2, 2]}, "expected a positive integer, got .2, 2."),
        ({"llama.block_count": 3}, "block_count: expected 2, as there are tensors of so many"),
        ({"llama.block_count": 1}, "block_count: expected 2, as there are tensors of so many"),
        ({"llama.block_count": 10**9}, "block_count: expected 2, as there are tensors of so many"),
    ],
)
def test_what_a_configuration_cannot_say_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = write_gguf(tmp_path / "x.gguf", change=change)
    with pytest.raises(CheckpointError, match=rf"x\.gguf: .*{message}"):
        open_model(path)


def test_other_architecture_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", architecture="mamba")
    message = "expected one of 'bloom', .*'llama', .*'qwen3', .*, got 'mamba'"
    with pytest.raises(CheckpointError, match=message):
        open_model(path)


def test_rows_that_no_heads_fit_are_refused(tmp_path: Path) -> None:
    odd = {"blk.0.attn_q.weight": np.ones((HEADS * 3, HIDDEN), np.float32)}
    model = open_model(write_gguf(tmp_path / "x.gguf", tensors=weights() | odd))
    with pytest.raises(
        CheckpointError, match=r"attn_q\.weight': expected rows for 4 heads, got 12"
    ):
        model.tensors.read("model.layers.0.self_attn.q_proj.weight")


def test_unknown_name_suggests_the_closest(tmp_path: Path) -> None:
    model = open_model(write_gguf(tmp_path / "x.gguf"))
    with pytest.raises(CheckpointError, match=r"the closest is 'model\.norm\.weight'"):
        model.tensors.shape("model.norms.weight")
