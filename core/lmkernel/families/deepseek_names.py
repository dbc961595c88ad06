"""DeepSeek's names: of the parts of a layer, and of what a GGUF file says."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.families.gated import LAYER
from lmkernel.families.mixtures import PRODUCTS, expert_rules
from lmkernel.families.names import Rule

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["FIELDS", "LAYERS", "MORE", "QUERIES", "SMALL_QUERIES", "keys_of_gguf"]

LAYERS = MappingProxyType(
    {
        **{k: v for k, v in LAYER.items() if not k.startswith("self_attn.")},
        **{f"mlp.shared_experts.{theirs}": f"mlp.shared.{n}" for n, theirs in PRODUCTS.items()},
        "self_attn.kv_a_proj_with_mqa": "attention.kv_down",
        "self_attn.kv_a_layernorm": "attention.kv_norm",
        "self_attn.kv_b_proj": "attention.kv",
        "self_attn.o_proj": "attention.o",
    }
)
QUERIES = MappingProxyType({"self_attn.q_proj": "attention.q"})
SMALL_QUERIES = MappingProxyType(
    {
        "self_attn.q_a_proj": "attention.q_down",
        "self_attn.q_a_layernorm": "attention.q_norm",
        "self_attn.q_b_proj": "attention.q",
    }
)
MORE = (
    *expert_rules("mlp.gate", {n: f"mlp.experts.{{e}}.{theirs}" for n, theirs in PRODUCTS.items()}),
    Rule(
        "model.layers.{i}.mlp.gate.e_score_correction_bias",
        "decoder.layers.{i}.mlp.router.choice_bias",
    ),
)
FIELDS = MappingProxyType(
    {
        "attention.q_lora_rank": "q_lora_rank",
        "attention.kv_lora_rank": "kv_lora_rank",
        "attention.key_length_mla": "qk_head_dim",
        "attention.value_length_mla": "v_head_dim",
        "leading_dense_block_count": "first_k_dense_replace",
        "expert_count": "n_routed_experts",
        "expert_used_count": "num_experts_per_tok",
        "expert_shared_count": "n_shared_experts",
        "expert_feed_forward_length": "moe_intermediate_size",
        "expert_weights_scale": "routed_scaling_factor",
        "expert_weights_norm": "norm_topk_prob",
        "expert_group_count": "n_group",
        "expert_group_used_count": "topk_group",
        "expert_gating_func": "scoring_func",
        "rope.dimension_count": "qk_rope_head_dim",
        "rope.scaling.yarn_log_multiplier": "mscale_all_dim",
    }
)


def keys_of_gguf(names: Collection[str], so_far: Mapping[str, Any]) -> dict[str, Any]:
    """What a GGUF file says in other words."""
    del names
    turned, scaling = so_far["qk_rope_head_dim"], so_far["rope_scaling"]
    found = {"q_lora_rank": so_far.get("q_lora_rank"), "head_dim": turned}
    found["qk_nope_head_dim"] = so_far["qk_head_dim"] - turned
    if scaling and so_far.get("mscale_all_dim"):
        whole = so_far["mscale_all_dim"] / 0.1
        found["rope_scaling"] = {**scaling, "mscale": whole, "mscale_all_dim": whole}
    return found
