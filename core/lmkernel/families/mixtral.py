"""The Mixtral family (arXiv:2401.04088): Mistral with experts, two of which each position uses."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import ExpertsConfig
from lmkernel.families.gated import GATED_KEYS, LAYER, GatedFamily
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.mixtures import (
    BALANCE_KEYS,
    INERT,
    balance_keys,
    balance_of,
    expert_rules,
    experts_of,
    with_experts,
)

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Mixtral"]

_AT = "block_sparse_moe"
_NAMES = MappingProxyType({"gate": "w1", "up": "w3", "down": "w2"})


@final
class Mixtral(GatedFamily):
    """``model_type`` ``"mixtral"``."""

    model_type, class_name = "mixtral", "MixtralForCausalLM"
    layer = MappingProxyType({k: v for k, v in LAYER.items() if not k.startswith("mlp.")})
    more = expert_rules(
        f"{_AT}.gate",
        {name: f"{_AT}.experts.{{e}}.{theirs}" for name, theirs in _NAMES.items()},
    )
    keys = GATED_KEYS.but(
        intermediate_size=14336,
        num_key_value_heads=8,
        max_position_embeddings=131072,
        rms_norm_eps=1e-5,
        rope_theta=1_000_000.0,
        sliding_window=None,
        num_experts_per_tok=2,
        num_local_experts=8,
        **BALANCE_KEYS,
        inert=INERT,
        aliases={"num_experts": "num_local_experts"},
    )
    carried = MappingProxyType({"sliding_window": "decoder.attention.window"})
    layout = GgufArchitecture(
        class_name="MixtralForCausalLM",
        name="llama",
        fits=lambda metadata: bool(metadata.get("expert_count")),
        interleaved=True,
        fields={
            "expert_count": "num_local_experts",
            "expert_used_count": "num_experts_per_tok",
        },
    )

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        experts = ExpertsConfig(
            count=config.whole("num_local_experts"),
            chosen=config.whole("num_experts_per_tok"),
            hidden=config.whole("intermediate_size"),
            balance=balance_of(config),
        )
        return with_experts(model, experts)

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        experts, _ = experts_of(config)
        return {
            "num_local_experts": experts.count,
            "num_experts_per_tok": experts.chosen,
            **balance_keys(experts),
        }
