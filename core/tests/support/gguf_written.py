"""A checkpoint of transformers as llama.cpp's conversion writes it, by the package ``gguf``."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
from gguf_samples import byte_tokens
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ARCHITECTURES", "write_as_gguf"]

ARCHITECTURES = {
    "llama": "llama", "mistral": "llama", "mixtral": "llama", "qwen2": "qwen2", "qwen3": "qwen3",
    "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "olmoe": "olmoe", "gemma": "gemma",
    "gemma2": "gemma2", "gemma3_text": "gemma3", "phi3": "phi3", "olmo2": "olmo2",
    "smollm3": "smollm3", "granite": "granite", "cohere2": "cohere2", "stablelm": "stablelm",
    "gpt_neox": "gptneox", "falcon": "falcon", "bloom": "bloom", "gpt2": "gpt2",
    "gpt_oss": "gpt-oss", "deepseek_v2": "deepseek2", "deepseek_v3": "deepseek2",
    "olmo3": "olmo2", "seed_oss": "seed_oss", "ernie4_5": "ernie4_5", "glm": "chatglm",
    "glm4": "glm4",
}  # fmt: skip
"""The name in GGUF of each ``model_type``."""
_PERMUTED = ("llama", "smollm3", "granite")
_FACTORS = {"attention_multiplier": "attention.scale", "embedding_multiplier": "embedding_scale",
            "residual_multiplier": "residual_scale", "logits_scaling": "logit_scale",
            "logit_scale": "logit_scale", "attn_logit_softcapping": "attn_logit_softcapping",
            "final_logit_softcapping": "final_logit_softcapping"}  # fmt: skip


def write_as_gguf(folder: Path, path: Path) -> Path:
    """Write the checkpoint in a folder to one GGUF file, in float32."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    name = ARCHITECTURES[config["model_type"]]
    writer = gguf.GGUFWriter(path, name)
    _metadata(writer, name, config)
    tensors: dict[str, np.ndarray] = {}
    for file in folder.glob("*.safetensors"):
        tensors |= load_file(file)
    for key, value in _converted(name, config, tensors).items():
        writer.add_tensor(key, np.ascontiguousarray(value, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _first(config: dict[str, Any], *keys: str) -> Any:
    return next((config[key] for key in keys if config.get(key) is not None), None)


def _key_heads(c: dict[str, Any]) -> int:
    heads = _first(c, "num_attention_heads", "n_head")
    if c["model_type"] == "falcon" and not c["new_decoder_architecture"]:
        return 1 if c["multi_query"] else heads
    return _first(c, "num_key_value_heads", "num_kv_heads") or heads


def _metadata(writer: Any, name: str, c: dict[str, Any]) -> None:
    hidden, heads = _first(c, "hidden_size", "n_embd"), _first(c, "num_attention_heads", "n_head")
    size = c.get("head_dim") or hidden // heads
    inner = _first(c, "intermediate_size", "ffn_hidden_size", "n_inner") or 4 * hidden
    writer.add_block_count(_first(c, "num_hidden_layers", "n_layer"))
    writer.add_context_length(_first(c, "max_position_embeddings", "n_positions") or 2048)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    latent = name == "deepseek2"
    writer.add_head_count_kv(1 if latent else _key_heads(c))
    writer.add_key_length(c["kv_lora_rank"] + c["qk_rope_head_dim"] if latent else size)
    writer.add_value_length(c["kv_lora_rank"] if latent else size)
    if (eps := _first(c, "layer_norm_eps", "layer_norm_epsilon")) is not None:
        writer.add_layer_norm_eps(eps)
    else:
        writer.add_layer_norm_rms_eps(c["rms_norm_eps"])
    _add_rope(writer, c, size)
    _add_experts(writer, c)
    if name == "deepseek2":
        _add_latent(writer, c)
    if c.get("sliding_window") and name not in ("llama", "qwen2", "qwen3"):
        writer.add_sliding_window(c["sliding_window"])
    if c["model_type"] == "olmo3":
        writer.add_sliding_window_pattern([kind[0] == "s" for kind in c["layer_types"]])
    if "use_parallel_residual" in c:
        writer.add_parallel_residual(c["use_parallel_residual"])
    for key, field in _FACTORS.items():
        if c.get(key) is not None:
            writer.add_float32(f"{name}.{field}", c[key])
    _add_words(writer, c["vocab_size"])


def _add_rope(writer: Any, c: dict[str, Any], size: int) -> None:
    rope = c.get("rope_parameters") or {}
    if "full_attention" in rope:
        if c["model_type"] == "gemma3_text":
            writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
        rope = rope["full_attention"]
    if rope:
        writer.add_rope_dimension_count(int(size * rope.get("partial_rotary_factor", 1)))
        writer.add_rope_freq_base(rope["rope_theta"])
    if rope.get("rope_type") == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if c["model_type"] == "olmo3":
            _add_ramp(writer, rope)
    if rope.get("rope_type") == "longrope":
        original = c["original_max_position_embeddings"]
        stretch = c["max_position_embeddings"] / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(stretch) / np.log(original))))


def _add_ramp(writer: Any, rope: dict[str, Any]) -> None:
    """What newer conversions say of YaRN, where the checkpoint does."""
    writer.add_rope_scaling_yarn_ext_factor(1.0)
    writer.add_rope_scaling_yarn_attn_factor(rope["attention_factor"])
    writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
    writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])


def _add_experts(writer: Any, c: dict[str, Any]) -> None:
    experts = _first(c, "num_local_experts", "num_experts", "n_routed_experts")
    if experts is not None:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(c["num_experts_per_tok"])
    if (moe := _first(c, "moe_intermediate_size")) is not None:
        writer.add_expert_feed_forward_length(moe)
    if (shared := _first(c, "shared_expert_intermediate_size")) is not None:
        writer.add_expert_shared_feed_forward_length(shared)


def _add_latent(writer: Any, c: dict[str, Any]) -> None:
    writer.add_kv_lora_rank(c["kv_lora_rank"])
    if c["q_lora_rank"] is not None:
        writer.add_q_lora_rank(c["q_lora_rank"])
    writer.add_key_length_mla(c["qk_nope_head_dim"] + c["qk_rope_head_dim"])
    writer.add_value_length_mla(c["v_head_dim"])
    writer.add_leading_dense_block_count(c["first_k_dense_replace"])
    writer.add_expert_shared_count(c["n_shared_experts"])
    writer.add_expert_weights_scale(c["routed_scaling_factor"])
    writer.add_expert_weights_norm(bool(c["norm_topk_prob"]))
    writer.add_expert_group_count(c["n_group"])
    writer.add_expert_group_used_count(c["topk_group"])
    sigmoid = c["model_type"] == "deepseek_v3"
    kinds = gguf.ExpertGatingFuncType
    writer.add_expert_gating_func(kinds.SIGMOID if sigmoid else kinds.SOFTMAX)
    if "mscale_all_dim" in c["rope_parameters"]:
        writer.add_rope_scaling_yarn_log_mul(0.1 * c["rope_parameters"]["mscale_all_dim"])


def _add_words(writer: Any, vocab: int) -> None:
    words = [*byte_tokens(), "<|end|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*words, *(f"<{i}>" for i in range(vocab))][:vocab])
    writer.add_token_types([1] * vocab)
    writer.add_token_merges([])


def _converted(name: str, c: dict[str, Any], tensors: dict[str, Any]) -> dict[str, np.ndarray]:
    layers = _first(c, "num_hidden_layers", "n_layer")
    key = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == name)
    known = gguf.get_tensor_name_map(key, layers)
    heads = _first(c, "num_attention_heads", "n_head")
    keys = _key_heads(c)
    found: dict[str, np.ndarray] = {}
    experts: dict[str, dict[int, np.ndarray]] = {}
    for hf, value in tensors.items():
        if match := re.search(r"\.experts\.(\d+)\.", hf):
            experts.setdefault(hf.replace(match[0], ".experts."), {})[int(match[1])] = value
            continue
        for part, one in _parts(name, hf, value, heads, keys):
            theirs = known.get_name(part, try_suffixes=(".weight", ".bias"))
            assert theirs is not None, part
            found[theirs] = one
    for hf, numbered in experts.items():
        theirs = known.get_name(hf, try_suffixes=(".weight", ".bias"))
        found[theirs] = np.stack([numbered[n] for n in range(len(numbered))])
    table = (c.get("rope_parameters") or {}).get("short_factor")
    if table:
        found["rope_factors_short.weight"] = np.array(table, np.float32)
        found["rope_factors_long.weight"] = np.array(
            c["rope_parameters"]["long_factor"], np.float32
        )
    return found


def _parts(
    name: str, hf: str, x: np.ndarray, heads: int, keys: int
) -> list[tuple[str, np.ndarray]]:
    """The tensors that one becomes, by names that the package knows."""
    if name in _PERMUTED and hf.endswith(("q_proj.weight", "k_proj.weight")):
        count = heads if "q_proj" in hf else keys
        x = x.reshape(count, 2, -1, x.shape[1]).swapaxes(1, 2).reshape(x.shape)
    if name.startswith("gemma") and hf.endswith("norm.weight"):
        x = x + 1
    if name == "gpt2" and re.search(r"c_(attn|proj|fc)\.weight", hf):
        x = x.T
    if name in ("bloom", "gptneox") and "query_key_value" in hf:
        by_head = x.reshape(heads, 3, -1, *x.shape[1:])
        x = np.concatenate([by_head[:, i].reshape(-1, *x.shape[1:]) for i in range(3)])
    if name == "falcon" and "query_key_value" in hf:
        groups = _falcon_groups(x, heads, keys)
        x = np.concatenate([part.reshape(-1, *x.shape[1:]) for part in groups])
    if name == "gpt-oss":
        return _parts_of_gpt_oss(hf, x)
    if hf.endswith("e_score_correction_bias"):
        hf = hf.replace("_correction_bias", "_correction.bias")
    if hf.endswith("kv_b_proj.weight"):
        sizes = x.reshape(heads, -1, x.shape[1])
        plain = 10  # elements of a key that RoPE leaves, in the small models
        return [
            (hf.replace("kv_b", "k_b"), sizes[:, :plain].swapaxes(1, 2)),
            (hf.replace("kv_b", "v_b"), sizes[:, plain:]),
        ]
    if name == "bloom":
        hf = hf.removeprefix("transformer.")
    return [(hf, x.squeeze())]


def _falcon_groups(x: np.ndarray, heads: int, keys: int) -> list[np.ndarray]:
    grouped = x.reshape(keys, heads // keys + 2, -1, *x.shape[1:])
    return [grouped[:, :-2], grouped[:, [-2]], grouped[:, [-1]]]


def _parts_of_gpt_oss(hf: str, x: np.ndarray) -> list[tuple[str, np.ndarray]]:
    if "gate_up_proj" in hf:
        end = ".bias" if hf.endswith("_bias") else ".weight"
        stem = hf.rpartition("gate_up_proj")[0]
        pair = [x[..., 0::2], x[..., 1::2]]
        turned = [p if end == ".bias" else p.swapaxes(1, 2) for p in pair]
        return [(f"{stem}{n}_proj{end}", p) for n, p in zip(("gate", "up"), turned, strict=True)]
    if "experts.down_proj" in hf:
        bias = hf.endswith("_bias")
        stem = hf.removesuffix("_bias")
        return [(stem + (".bias" if bias else ".weight"), x if bias else x.swapaxes(1, 2))]
    if hf.endswith("sinks"):
        return [(hf + ".weight", x)]
    return [(hf, x)]
