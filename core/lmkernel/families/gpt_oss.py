"""gpt-oss (arXiv:2508.10925): experts with bounded gates, sinks, and windows in every other layer.

Its files keep experts in MXFP4, which are read to their exact values and written as numbers.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import ExpertsConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.gated import GATED_KEYS, LAYER, GatedFamily, decoder_of
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.llama import ATTENTION_BIAS
from lmkernel.families.mixtures import (
    BALANCE_KEYS,
    INERT,
    balance_keys,
    balance_of,
    experts_of,
    with_experts,
)
from lmkernel.families.names import Rule
from lmkernel.families.windows import FULL, SLIDING, layer_kinds, with_kinds, write_kinds

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.sizes import Sizes

__all__ = ["GptOss"]

_AT, _OURS = "model.layers.{i}", "decoder.layers.{i}"
_EXPERTS = {"gate_up_proj": ("gate", "up"), "down_proj": ("down",)}
_ENDS = {"": "weight", "_bias": "bias"}
_YARN = MappingProxyType(
    {
        "rope_type": "yarn",
        "factor": 32.0,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "truncate": False,
        "original_max_position_embeddings": 4096,
    }
)


@final
class GptOss(GatedFamily):
    """``model_type`` ``"gpt_oss"``."""

    model_type, class_name = "gpt_oss", "GptOssForCausalLM"
    layer = MappingProxyType(
        {
            **{k: v for k, v in LAYER.items() if not k.startswith("mlp.")},
            "mlp.router": "mlp.router",
        }
    )
    more = (
        Rule(f"{_AT}.self_attn.sinks", f"{_OURS}.attention.sinks"),
        *(
            Rule(
                f"{_AT}.mlp.experts.{theirs}{end}",
                tuple(f"{_OURS}.mlp.experts.{name}.{leaf}" for name in ours),
                stacked=True,
            )
            for theirs, ours in _EXPERTS.items()
            for end, leaf in _ENDS.items()
        ),
    )
    keys = GATED_KEYS.but(
        vocab_size=201088,
        hidden_size=2880,
        intermediate_size=2880,
        num_hidden_layers=36,
        num_attention_heads=64,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=131072,
        rms_norm_eps=1e-5,
        rope_theta=150000.0,
        attention_bias=True,
        sliding_window=128,
        layer_types=None,
        num_local_experts=128,
        num_experts_per_tok=4,
        swiglu_alpha=1.702,
        swiglu_limit=7.0,
        nullable=("sliding_window",),
        **BALANCE_KEYS,
        inert=(*INERT, "experts_per_token", "initial_context_length"),
        aliases={"num_experts": "num_local_experts"},
    )
    fixed = MappingProxyType(
        {"decoder.attention.sinks": True, "decoder.mlp.bias": True, "decoder.mlp.shift": 1.0}
    )
    carried = MappingProxyType(
        {
            **ATTENTION_BIAS,
            "swiglu_alpha": "decoder.mlp.slope",
            "swiglu_limit": "decoder.mlp.limit",
        }
    )
    layout = GgufArchitecture(
        class_name="GptOssForCausalLM",
        name="gpt-oss",
        biases=True,
        fields={
            "attention.sliding_window": "sliding_window",
            "expert_count": "num_local_experts",
            "expert_used_count": "num_experts_per_tok",
            "expert_feed_forward_length": "intermediate_size",
        },
        complete=lambda _, so_far: {
            "rope_scaling": so_far["rope_scaling"] and {**so_far["rope_scaling"], "truncate": False}
        },
    )

    def read(self, config: HfConfig) -> ModelConfig:
        if config.part("rope_scaling", "rope_parameters") is None:
            config = HfConfig({**config.values, "rope_scaling": {**_YARN}}, config.where)
        return super().read(config)

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        experts = ExpertsConfig(
            count=config.whole("num_local_experts"),
            chosen=config.whole("num_experts_per_tok"),
            hidden=config.whole("intermediate_size"),
            router_bias=True,
            balance=balance_of(config),
        )
        kinds = layer_kinds(config, lambda layer: FULL if layer % 2 else SLIDING)
        window = config.whole("sliding_window") if SLIDING in kinds else None
        return with_kinds(with_experts(model, experts), kinds, {SLIDING: {"window": window}})

    def new(self, sizes: Sizes) -> dict[str, Any]:
        return {**super().new(sizes), "num_local_experts": 8, "num_experts_per_tok": 2}

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        (experts, _), stack = experts_of(config), decoder_of(config)
        if not stack.attention.sinks or not stack.mlp.bias or stack.mlp.shift != 1:
            raise CheckpointError("expected sinks, and experts with biases and a gate of gpt-oss")
        return {
            **write_kinds(stack, 128),
            "num_local_experts": experts.count,
            "num_experts_per_tok": experts.chosen,
            **balance_keys(experts),
        }
