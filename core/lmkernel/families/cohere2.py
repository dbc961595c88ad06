"""The Command R7B family: parallel layers through one norm, RoPE of neighbours in windows alone."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import NormConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.gated import (
    GATED_KEYS,
    LAYER,
    GatedFamily,
    Traits,
    decoder_of,
    read_gated,
    with_changes,
    write_gated,
)
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.windows import FULL, SLIDING, kinds_of, layer_kinds, with_kinds

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Cohere2"]


@final
class Cohere2(GatedFamily):
    """``model_type`` ``"cohere2"``; layers that see everything have no positions at all."""

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
        nullable=("sliding_window",),
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

    layout = GgufArchitecture(
        class_name="Cohere2ForCausalLM",
        fields={"attention.sliding_window": "sliding_window", "logit_scale": "logit_scale"},
    )

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        bias = config.flag("attention_bias", default=False)
        model = read_gated(config, Traits(bias=bias, out_bias=bias, context=8192))
        norm = NormConfig(kind="layer", eps=config.number("layer_norm_eps"), bias=False)
        model = with_changes(
            model,
            stack={"norm": norm, "parallel": True, "shared_norm": True},
            attention={"interleaved": decoder_of(model).attention.head_dim},
            head={"scale": config.number("logit_scale")},
        )
        every = config.whole("sliding_window_pattern", 4)
        kinds = layer_kinds(config, lambda layer: SLIDING if (layer + 1) % every else FULL)
        window = config.whole("sliding_window", 4096)
        return with_kinds(model, kinds, {SLIDING: {"window": window}, FULL: {"rotary": None}})

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, head = decoder_of(config), config.head
        if head is None:
            raise CheckpointError("expected a head")
        windows = [stack.layer(i).attention.window or 0 for i in range(stack.layers)]
        return {
            **write_gated(config, "cohere2", "Cohere2ForCausalLM"),
            "layer_norm_eps": stack.norm.eps,
            "attention_bias": stack.attention.bias,
            "logit_scale": head.scale,
            "sliding_window": max(windows) or 4096,
            "layer_types": kinds_of(stack),
        }
