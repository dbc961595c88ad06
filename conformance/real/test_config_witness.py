"""Configurations and files as others write them: the same logits as transformers gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest
import torch
import transformers
from gguf_samples import HEADS, KEYS, LAYERS, WIDTH, WORDS, weights, write_gguf
from safetensors.torch import load_file, save_file
from safetensors.torch import save_model as save_without_copies

from lmkernel import load
from lmkernel.families.files import save_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

VOCAB = 37
SMALL = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 32,
}
GPT2 = {"vocab_size": VOCAB, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32}
IDS = np.random.default_rng(5).integers(0, VOCAB, (1, 24))
KINDS = ("sliding_attention", "full_attention")
NO_DICTIONARY = ("rope_parameters",)
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


def make(model_type: str, folder: Path, **changes: Any) -> Any:
    """A random model of transformers, saved."""
    torch.manual_seed(3)
    sizes = GPT2 if model_type == "gpt2" else SMALL
    config = transformers.AutoConfig.for_model(model_type, **{**sizes, **changes})
    model: Any = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.eval().save_pretrained(folder)
    return model


def rewrite(
    folder: Path, change: Mapping[str, Any], without: tuple[str, ...] = ("transformers_version",)
) -> None:
    """Change keys of ``config.json``, and leave some out."""
    path = folder / "config.json"
    config = {k: v for k, v in json.loads(path.read_text()).items() if k not in without}
    path.write_text(json.dumps({**config, **change}))


def rename(folder: Path, name: Callable[[str], str]) -> None:
    path = folder / "model.safetensors"
    save_file({name(key): x for key, x in load_file(path).items()}, path, {"format": "pt"})


def judge(folder: Path, ids: np.ndarray = IDS) -> np.ndarray:
    """Ours beside transformers', which reads the same folder; its float64 is the measure."""
    kind = transformers.AutoModelForCausalLM
    witness: Any = kind.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        plain = witness(torch.tensor(ids)).logits.numpy()
        exact = witness.double()(torch.tensor(ids)).logits.numpy()
    got = np.asarray(load(folder, backend="numpy").logits(ids.tolist()))
    # RoPE's angles are float32 in transformers whatever the dtype, so the float64 result has an
    # error of its own, of the size of the float32 one's
    budget = 8 * np.abs(plain - exact).max() + 8 * np.spacing(np.float32(np.abs(exact).max()))
    assert np.abs(got - exact).max() <= budget
    return exact


LONG = np.random.default_rng(7).integers(0, VOCAB, (1, 4100))


@pytest.mark.parametrize(
    ("model_type", "change", "without"),
    [
        ("mistral", {}, ("sliding_window",)),
        ("qwen2", {"use_sliding_window": True, "max_window_layers": 0}, ("sliding_window",)),
        ("qwen3", {"use_sliding_window": True, "max_window_layers": 0}, ("sliding_window",)),
    ],
)
def test_b04_an_absent_window_is_that_of_the_class(
    tmp_path: Path, model_type: str, change: dict[str, Any], without: tuple[str, ...]
) -> None:
    one = {"num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    make(model_type, tmp_path, **one, hidden_size=8, max_position_embeddings=8192)
    rewrite(tmp_path, change, (*without, "layer_types"))
    exact = judge(tmp_path, LONG)
    key = {"mistral": {"sliding_window": None}}.get(model_type, {"use_sliding_window": False})
    rewrite(tmp_path, key)
    whole = np.asarray(load(tmp_path, backend="numpy").logits(LONG.tolist()))
    assert np.abs(whole - exact)[:, 4096:].max() > 1e-4
    np.testing.assert_allclose(whole[:, :4096], exact[:, :4096], atol=2e-5)


@pytest.mark.parametrize("model_type", ["qwen2", "qwen3"])
@pytest.mark.parametrize("change", [{"max_window_layers": 1}, {"layer_types": [*KINDS]}])
def test_b04_windows_of_some_layers(
    tmp_path: Path, model_type: str, change: dict[str, Any]
) -> None:
    make(model_type, tmp_path)
    rewrite(tmp_path, {"use_sliding_window": True, "sliding_window": 5}, ("layer_types",))
    rewrite(tmp_path, change)
    exact = judge(tmp_path)
    ours = load(tmp_path, backend="numpy")
    family, declared = ours.origin.family, ours.model.declare()
    save_model(tmp_path / "ours", ours.config, ours.parameters(), family, declared=declared)
    np.testing.assert_array_equal(judge(tmp_path / "ours"), exact)


@pytest.mark.parametrize(
    ("model_type", "without"),
    [
        ("mistral", ("num_key_value_heads", "hidden_act", "rms_norm_eps")),
        ("llama", ("num_key_value_heads", "head_dim", "attention_bias", "rope_parameters")),
        ("qwen3", ("head_dim", "tie_word_embeddings", "attention_bias")),
        ("gpt2", ("n_inner", "activation_function", "layer_norm_epsilon", "scale_attn_weights")),
    ],
)
def test_b04_other_absent_keys_too(
    tmp_path: Path, model_type: str, without: tuple[str, ...]
) -> None:
    default = getattr(transformers.AutoConfig.for_model(model_type), "num_key_value_heads", 4)
    heads = {"num_attention_heads": 8, "num_key_value_heads": 8} if default == 8 else {}
    wide = {"head_dim": 128} if model_type == "qwen3" else {}
    full = {"num_key_value_heads": 4} if model_type == "llama" else {}
    epsilon = {"rms_norm_eps": 1e-6} if "rms_norm_eps" in without else {}
    make(model_type, tmp_path, **{**heads, **wide, **full, **epsilon})
    rewrite(tmp_path, {}, without)
    judge(tmp_path)


def test_b04_other_names_of_keys_are_read(tmp_path: Path) -> None:
    make("gpt2", tmp_path)
    names = {
        "n_embd": "hidden_size",
        "n_layer": "num_hidden_layers",
        "n_head": "num_attention_heads",
    }
    rewrite(tmp_path, {new: GPT2[old] for old, new in names.items()}, tuple(names))
    judge(tmp_path)


@pytest.mark.parametrize(
    ("change", "without"),
    [
        ({"rope_scaling": {**LLAMA3, "original_max_position_embeddings": 16}}, NO_DICTIONARY),
        ({"rope_scaling": LLAMA3}, NO_DICTIONARY),
        ({"rope_parameters": {**LLAMA3, "rope_theta": 700.0}, "rope_theta": 700.0}, ()),
        ({"rope_parameters": LLAMA3, "original_max_position_embeddings": 12}, ()),
        ({"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 50.0},
         ("rope_parameters",)),
        ({"rope_theta": 50.0}, NO_DICTIONARY),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, NO_DICTIONARY),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0, "mscale": 0.7, "mscale_all_dim": 0.3,
                           "beta_fast": 20, "original_max_position_embeddings": 8}}, NO_DICTIONARY),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0, "attention_factor": 1.3,
                           "truncate": False, "original_max_position_embeddings": 8}},
         NO_DICTIONARY),
        ({"rope_scaling": {"type": "dynamic", "factor": 4.0}, "max_position_embeddings": 32},
         NO_DICTIONARY),
        ({"rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.5, 2.0, 4.0],
                           "long_factor": [2.0, 2.5, 3.0, 9.0]},
          "original_max_position_embeddings": 16}, NO_DICTIONARY),
        ({"rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.5, 2.0, 4.0],
                           "long_factor": [2.0, 2.5, 3.0, 9.0], "factor": 8.0}}, NO_DICTIONARY),
    ],
)  # fmt: skip
def test_b01_rotary_positions_as_they_are_written(
    tmp_path: Path, change: dict[str, Any], without: tuple[str, ...]
) -> None:
    make("llama", tmp_path)
    rewrite(tmp_path, change, without)
    judge(tmp_path)


@pytest.mark.filterwarnings("ignore:.*rope_parameters:UserWarning")
def test_b01_of_two_dictionaries_transformers_choice_is_taken(tmp_path: Path) -> None:
    make("llama", tmp_path)
    both = {
        "rope_scaling": {"rope_type": "linear", "factor": 2.0},
        "rope_parameters": {"rope_type": "linear", "factor": 8.0, "rope_theta": 30.0},
    }
    rewrite(tmp_path, both)
    judge(tmp_path)


@pytest.mark.parametrize("model_type", ["llama", "qwen2", "gpt2"])
def test_b07_two_tables_of_one_tied_head_are_both_used(tmp_path: Path, model_type: str) -> None:
    make(model_type, tmp_path, tie_word_embeddings=False)
    rewrite(tmp_path, {"tie_word_embeddings": True})
    with pytest.warns(UserWarning, match="both are used"):
        judge(tmp_path)


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "gpt2"])
def test_b07_equal_copies_are_tied(tmp_path: Path, model_type: str) -> None:
    make(model_type, tmp_path, tie_word_embeddings=True)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    [table] = [name for name in tensors if name.endswith(("embed_tokens.weight", "wte.weight"))]
    save_file({**tensors, "lm_head.weight": tensors[table].clone()}, path, {"format": "pt"})
    judge(tmp_path)
    assert load(tmp_path, backend="numpy").config.head.tied  # type: ignore[union-attr]  # it has one


@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "qwen3", "gpt2"])
def test_b06_a_tied_table_under_the_heads_name(tmp_path: Path, model_type: str) -> None:
    model = make(model_type, tmp_path, tie_word_embeddings=True)
    save_without_copies(model, str(tmp_path / "model.safetensors"), {"format": "pt"})
    names = load_file(tmp_path / "model.safetensors")
    assert "lm_head.weight" in names
    assert not any(name.endswith(("embed_tokens.weight", "wte.weight")) for name in names)
    judge(tmp_path)


@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "qwen3", "gpt2"])
@pytest.mark.parametrize("tied", [True, False])
def test_b09_names_without_the_prefix(tmp_path: Path, model_type: str, *, tied: bool) -> None:
    prefix = "transformer." if model_type == "gpt2" else "model."
    make(model_type, tmp_path, tie_word_embeddings=tied)
    rename(tmp_path, lambda name: name.removeprefix(prefix))
    judge(tmp_path)


def llama_of(tensors: Mapping[str, np.ndarray], rope: dict[str, Any]) -> Any:
    """transformers' Llama with the weights of a GGUF file, whose rows are pairs."""
    config = transformers.LlamaConfig(
        vocab_size=WORDS, hidden_size=64, intermediate_size=96, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KEYS, rms_norm_eps=1e-5, head_dim=WIDTH,
        max_position_embeddings=128, tie_word_embeddings=True, rope_parameters=rope,
    )  # fmt: skip
    names = {
        "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    }  # fmt: skip
    state = {"model.embed_tokens.weight": tensors["token_embd.weight"]}
    state["model.norm.weight"] = tensors["output_norm.weight"]
    for layer in range(LAYERS):
        for theirs, ours in names.items():
            value = tensors[f"blk.{layer}.{theirs}.weight"]
            heads = {"attn_q": HEADS, "attn_k": KEYS}.get(theirs)
            if heads:
                value = value.reshape(heads, WIDTH // 2, 2, -1).swapaxes(1, 2).reshape(value.shape)
            state[f"model.layers.{layer}.{ours}.weight"] = value
    model = transformers.LlamaForCausalLM(config)
    model.load_state_dict({k: torch.tensor(v) for k, v in state.items()}, strict=False)
    model.tie_weights()
    return model.eval()


FREQUENCIES = np.random.default_rng(8).uniform(1, 9, WIDTH // 2).astype(np.float32)
THETA = 500000.0


@pytest.mark.parametrize(
    ("change", "factors", "rope"),
    [
        ({"llama.rope.scaling.factor": 4.0}, None, {"rope_type": "linear", "factor": 4.0}),
        ({"llama.rope.scale_linear": 4.0}, None, {"rope_type": "linear", "factor": 4.0}),
        ({"llama.rope.scaling.factor": 4.0, "llama.rope.scaling.type": "none"}, None,
         {"rope_type": "default"}),
        ({}, FREQUENCIES, {"factors": FREQUENCIES}),
        ({"llama.rope.scaling.factor": 2.0}, FREQUENCIES, {"factors": 2 * FREQUENCIES}),
    ],
)  # fmt: skip
def test_b28_b29_scaled_frequencies_of_gguf(
    tmp_path: Path, change: dict[str, Any], factors: np.ndarray | None, rope: dict[str, Any]
) -> None:
    tensors = {name: x * np.float32(0.3) for name, x in weights().items()}
    more = {} if factors is None else {"rope_freqs.weight": factors}
    path = write_gguf(
        tmp_path / "x.gguf",
        tensors={**tensors, **more},
        kind=gguf.GGMLQuantizationType.F32,
        change=change,
    )
    if "factors" in rope:
        divisors = rope["factors"].tolist()
        rope = {"rope_type": "longrope", "short_factor": divisors, "long_factor": divisors,
                "attention_factor": 1.0, "factor": 1.0,
                "original_max_position_embeddings": 128}  # fmt: skip
    witness = llama_of(tensors, {**rope, "rope_theta": THETA})
    ids = np.random.default_rng(2).integers(0, WORDS, (1, 40))
    with torch.inference_mode():
        plain = witness(torch.tensor(ids)).logits.numpy()
        exact = witness.double()(torch.tensor(ids)).logits.numpy()
    loaded = load(path, backend="numpy")
    got = np.asarray(loaded.logits(ids.tolist()))
    budget = 8 * np.abs(plain - exact).max() + 8 * np.spacing(np.float32(np.abs(exact).max()))
    assert np.abs(got - exact).max() <= budget
    loaded.save(tmp_path / "hf")
    again: Any = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    with torch.inference_mode():
        assert np.abs(again(torch.tensor(ids)).logits.numpy() - exact).max() <= budget
