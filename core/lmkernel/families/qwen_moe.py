"""Qwen's mixtures of experts: of Qwen2 (arXiv:2407.10671, §2.2.2) and Qwen3 (arXiv:2505.09388).

Some layers may be dense. Qwen2's have an expert besides that every position uses, with a gate.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import ExpertsConfig
from lmkernel.families.carried import with_fields
from lmkernel.families.gated import GATED_KEYS, GatedFamily, Traits, decoder_of
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.llama import ATTENTION_BIAS
from lmkernel.families.mixtures import (
    BALANCE_KEYS,
    INERT,
    PRODUCTS,
    SPARSE_KEYS,
    balance_keys,
    balance_of,
    expert_rules,
    experts_of,
    sparse_layers,
    with_experts,
)
from lmkernel.families.names import Rule
from lmkernel.families.qwen2 import QWEN_KEYS
from lmkernel.families.qwen3 import NORMS
from lmkernel.families.windows import FULL, SLIDING, layer_kinds, with_windows, write_kinds

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Qwen2Moe", "Qwen3Moe"]

_EXPERTS = expert_rules(
    "mlp.gate", {name: f"mlp.experts.{{e}}.{theirs}" for name, theirs in PRODUCTS.items()}
)
_SHARED = (
    *(
        Rule(
            f"model.layers.{{i}}.mlp.shared_expert.{theirs}.weight",
            f"decoder.layers.{{i}}.mlp.shared.{name}.weight",
        )
        for name, theirs in PRODUCTS.items()
    ),
    Rule(
        "model.layers.{i}.mlp.shared_expert_gate.weight",
        "decoder.layers.{i}.mlp.shared_gate.weight",
    ),
)


_FIELDS = {
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
}


def _experts(config: HfConfig, count: str) -> dict[str, Any]:
    return {
        "count": config.whole(count, 128),
        "chosen": config.whole("num_experts_per_tok"),
        "hidden": config.whole("moe_intermediate_size"),
        "renormalize": config.flag("norm_topk_prob", default=False),
        "balance": balance_of(config),
    }


def _written(config: ModelConfig) -> dict[str, Any]:
    experts, dense = experts_of(config)
    return {
        "num_experts": experts.count,
        "num_experts_per_tok": experts.chosen,
        "moe_intermediate_size": experts.hidden,
        "norm_topk_prob": experts.renormalize,
        "decoder_sparse_step": 1,
        "mlp_only_layers": dense,
        **balance_keys(experts),
    }


@final
class Qwen2Moe(GatedFamily):
    """``model_type`` ``"qwen2_moe"``; windows are usually of every other of the first layers."""

    model_type, class_name = "qwen2_moe", "Qwen2MoeForCausalLM"
    more = (*_EXPERTS, *_SHARED)
    keys = QWEN_KEYS.but(
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=24,
        num_attention_heads=16,
        num_key_value_heads=16,
        moe_intermediate_size=1408,
        shared_expert_intermediate_size=5632,
        num_experts_per_tok=4,
        num_experts=60,
        qkv_bias=True,
        **SPARSE_KEYS,
        **BALANCE_KEYS,
        inert=INERT,
    )
    carried = MappingProxyType({"qkv_bias": "decoder.attention.bias"})
    layout = GgufArchitecture(
        class_name="Qwen2MoeForCausalLM",
        name="qwen2moe",
        qkv_bias=True,
        fields={
            **_FIELDS,
            "expert_count": "num_experts",
            "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
        },
    )

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        shared = config.whole("shared_expert_intermediate_size")
        experts = ExpertsConfig(**_experts(config, "num_experts"), shared=shared, shared_gate=True)
        model = with_windows(config, model, self._kinds(config))
        return with_experts(model, experts, sparse_layers(config))

    @staticmethod
    def _kinds(config: HfConfig) -> tuple[str, ...]:
        used = config.flag("use_sliding_window", default=False) and config.has("sliding_window")
        last = config.whole("max_window_layers", least=0) if used else 0
        return layer_kinds(config, lambda i: FULL if i % 2 or i >= last else SLIDING)

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        shared, kinds = experts_of(config)[0].shared, write_kinds(decoder_of(config), None)
        used = {"use_sliding_window": kinds["sliding_window"] is not None}
        return {**_written(config), **used, **kinds, "shared_expert_intermediate_size": shared}


@final
class Qwen3Moe(GatedFamily):
    """``model_type`` ``"qwen3_moe"``; all layers have the same window, or none has one."""

    model_type, class_name = "qwen3_moe", "Qwen3MoeForCausalLM"
    more = (*_EXPERTS, *NORMS)
    keys = GATED_KEYS.but(
        vocab_size=151936,
        hidden_size=2048,
        intermediate_size=6144,
        num_hidden_layers=24,
        num_key_value_heads=4,
        max_position_embeddings=32768,
        attention_bias=False,
        use_sliding_window=False,
        sliding_window=4096,
        nullable=("sliding_window",),
        moe_intermediate_size=768,
        num_experts_per_tok=8,
        num_local_experts=None,
        **SPARSE_KEYS,
        **BALANCE_KEYS,
        inert=(*INERT, "max_window_layers", "layer_types"),
        aliases={"num_experts": "num_local_experts"},
    )
    traits = Traits(qk_norm=True)
    carried = ATTENTION_BIAS
    layout = GgufArchitecture(
        class_name="Qwen3MoeForCausalLM",
        name="qwen3moe",
        fields={**_FIELDS, "expert_count": "num_local_experts"},
        values={"norm_topk_prob": True},
    )

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        asked = config.flag("use_sliding_window", default=False) and config.has("sliding_window")
        window = config.whole("sliding_window") if asked else None
        model = with_fields(model, {"decoder.attention.window": window})
        experts = ExpertsConfig(**_experts(config, "num_local_experts"))
        return with_experts(model, experts, sparse_layers(config))

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        window = decoder_of(config).attention.window
        used = {"use_sliding_window": window is not None, "sliding_window": window}
        return {**_written(config), **used}
