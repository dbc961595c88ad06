"""The Command R7B family: parallel layers through one norm, RoPE of neighbours in windows alone."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import NormConfig
from lmkernel.families.carried import with_fields
from lmkernel.families.gated import GATED_KEYS, LAYER, GatedFamily, decoder_of
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.llama import ATTENTION_BIAS
from lmkernel.families.windows import FULL, SLIDING, layer_kinds, with_kinds, write_kinds

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Cohere2"]


@final
class Cohere2(GatedFamily):
    """``model_type`` ``"cohere2"``; layers that see everything have no positions at all."""

    model_type, class_name = "cohere2", "Cohere2ForCausalLM"
    layer = MappingProxyType({k: v for k, v in LAYER.items() if k != "post_attention_layernorm"})
    keys = GATED_KEYS.but(
        vocab_size=256000,
        hidden_size=8192,
        intermediate_size=22528,
        num_hidden_layers=40,
        num_attention_heads=64,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        logit_scale=0.0625,
        layer_norm_eps=1e-5,
        attention_bias=False,
        sliding_window=4096,
        sliding_window_pattern=None,
        layer_types=None,
        pad_token_id=0,
        nullable=("sliding_window", "pad_token_id"),
        inert=(
            "rms_norm_eps",
            "order_of_interleaved_layers",
            "rotary_pct",
            "use_gated_activation",
            "use_parallel_block",
            "use_parallel_embedding",
            "position_embedding_type",
            "cache_implementation",
            "use_embedding_sharing",
            "head_dim",
            "use_qk_norm",
        ),
    )
    fixed = MappingProxyType(
        {
            "decoder.norm": NormConfig(kind="layer", bias=False),
            "decoder.parallel": True,
            "decoder.shared_norm": True,
        }
    )
    carried = MappingProxyType(
        {**ATTENTION_BIAS, "layer_norm_eps": "decoder.norm.eps", "logit_scale": "head.scale"}
    )
    layout = GgufArchitecture(
        class_name="Cohere2ForCausalLM",
        fields={"attention.sliding_window": "sliding_window", "logit_scale": "logit_scale"},
    )

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        head_dim = decoder_of(model).attention.head_dim
        model = with_fields(model, {"decoder.attention.interleaved": head_dim})
        every = config.whole("sliding_window_pattern", 4)
        kinds = layer_kinds(config, lambda layer: SLIDING if (layer + 1) % every else FULL)
        window = config.whole("sliding_window", 4096)
        return with_kinds(model, kinds, {SLIDING: {"window": window}, FULL: {"rotary": None}})

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        return write_kinds(decoder_of(config), 4096)
