"""The OLMoE family (arXiv:2409.02060): Llama with experts, and norms of whole queries and keys."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import ExpertsConfig
from lmkernel.families.gated import GATED_KEYS, GatedFamily, Traits
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.llama import ATTENTION_BIAS
from lmkernel.families.mixtures import (
    BALANCE_KEYS,
    INERT,
    balance_keys,
    balance_of,
    expert_rules,
    experts_of,
    with_experts,
)
from lmkernel.families.qwen3 import NORMS

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Olmoe"]


@final
class Olmoe(GatedFamily):
    """``model_type`` ``"olmoe"``."""

    model_type, class_name = "olmoe", "OlmoeForCausalLM"
    more = (
        *expert_rules(
            "mlp.gate", {name: f"mlp.experts.{{e}}.{name}_proj" for name in ("gate", "up", "down")}
        ),
        *NORMS,
    )
    keys = GATED_KEYS.but(
        vocab_size=50304,
        hidden_size=2048,
        intermediate_size=2048,
        num_hidden_layers=16,
        num_attention_heads=16,
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
        attention_bias=False,
        num_experts_per_tok=8,
        num_experts=64,
        norm_topk_prob=False,
        **{**BALANCE_KEYS, "router_aux_loss_coef": 0.01},
        pad_token_id=1,
        nullable=("pad_token_id",),
        inert=INERT,
        aliases={"num_local_experts": "num_experts"},
        refused={"clip_qkv": None},
    )
    traits = Traits(qk_norm=True)
    carried = ATTENTION_BIAS
    fixed = MappingProxyType({"decoder.attention.qk_norm_whole": True})
    layout = GgufArchitecture(
        class_name="OlmoeForCausalLM",
        fields={"expert_count": "num_experts", "expert_used_count": "num_experts_per_tok"},
    )

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        experts = ExpertsConfig(
            count=config.whole("num_experts"),
            chosen=config.whole("num_experts_per_tok"),
            hidden=config.whole("intermediate_size"),
            renormalize=config.flag("norm_topk_prob", default=False),
            balance=balance_of(config),
        )
        return with_experts(model, experts)

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        experts, _ = experts_of(config)
        return {
            "num_experts": experts.count,
            "num_experts_per_tok": experts.chosen,
            "norm_topk_prob": experts.renormalize,
            **balance_keys(experts),
        }
