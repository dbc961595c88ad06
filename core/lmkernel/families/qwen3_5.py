"""The text models of Qwen3.5: layers of the gated delta rule, and attention with a gate."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import AttentionConfig, DeltaConfig, LayerConfig, NormConfig
from lmkernel.families.gated import GATED_KEYS, LAYER, GatedFamily, Traits, decoder_of
from lmkernel.families.names import Rule, in_groups, layer_rules, with_optional_prefix
from lmkernel.families.qwen3 import NORMS
from lmkernel.families.windows import FULL, LINEAR, layer_kinds

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig
    from lmkernel.families.sizes import Sizes

__all__ = ["Qwen35"]

_DELTA = MappingProxyType(
    {
        "linear_attn.in_proj_qkv": "attention.mixed",
        "linear_attn.in_proj_z": "attention.out_gate",
        "linear_attn.in_proj_b": "attention.correction",
        "linear_attn.in_proj_a": "attention.decay",
        "linear_attn.norm": "attention.norm",
        "linear_attn.out_proj": "attention.out",
    }
)
_QUERIES = {"self_attn.q_proj": ("attention.q", "attention.gate")}
_NUMBERS = MappingProxyType({"dt_bias": "decay_bias", "A_log": "decay_rate"})


@final
class Qwen35(GatedFamily):
    """``model_type`` ``"qwen3_5_text"``; a head's queries and its gate lie in one tensor."""

    model_type, class_name = "qwen3_5_text", "Qwen3_5ForCausalLM"
    layer = MappingProxyType({**{k: v for k, v in LAYER.items() if k not in _QUERIES}, **_DELTA})
    keys = GATED_KEYS.but(
        vocab_size=248320,
        intermediate_size=12288,
        num_attention_heads=16,
        num_key_value_heads=4,
        head_dim=256,
        max_position_embeddings=32768,
        attention_bias=False,
        partial_rotary_factor=0.25,
        linear_conv_kernel_dim=4,
        linear_key_head_dim=128,
        linear_value_head_dim=128,
        linear_num_key_heads=16,
        linear_num_value_heads=32,
        layer_types=None,
        full_attention_interval=None,
    )
    traits = Traits(qk_norm=True, partial=0.25)
    carried = MappingProxyType(
        {"attention_bias": ("decoder.attention.bias", "decoder.attention.out_bias")}
    )
    fixed = MappingProxyType(
        {
            "decoder.norm.offset": 1.0,
            "decoder.attention.qk_norm.offset": 1.0,
            "decoder.attention.gated": True,
        }
    )

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        stack, size = decoder_of(model), config.whole("linear_key_head_dim")
        delta = DeltaConfig(
            key_heads=config.whole("linear_num_key_heads"),
            key_dim=size,
            taps=config.whole("linear_conv_kernel_dim"),
            norm=NormConfig(kind="rms", eps=stack.norm.eps),
        )
        own = AttentionConfig(
            kind="delta",
            width=stack.width,
            heads=config.whole("linear_num_value_heads"),
            head_dim=config.whole("linear_value_head_dim"),
            delta=delta,
        )
        layers = {LINEAR: LayerConfig(attention=own), FULL: LayerConfig()}
        kinds = _kinds(config)
        if LINEAR in kinds and stack.mlp.activation != "silu":  # their convolution has it, too
            expected = f"silu, where there are layers of {LINEAR}"
            raise config.error("hidden_act", expected, config.values["hidden_act"])
        different = tuple(layers[kind] for kind in kinds)
        return replace(model, decoder=replace(stack, different=different))

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        stack = decoder_of(config)
        parts = [stack.layer(i).attention for i in range(stack.layers)]
        kinds = [FULL if part.delta is None else LINEAR for part in parts]
        found = {"layer_types": kinds}
        for part in parts:
            if part.delta is not None:
                found |= _sizes(part, part.delta)
        return found

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        stack, place = decoder_of(config), "model.layers.{i}"
        queries = in_groups(layer_rules(place, _QUERIES), stack.attention.heads)
        ours = "decoder.layers.{i}.attention."
        numbers = (
            Rule(f"{place}.linear_attn.{theirs}", ours + name) for theirs, name in _NUMBERS.items()
        )
        parts = [stack.layer(i).attention for i in range(stack.layers)]
        shapes = [
            (2 * p.delta.keys + p.heads * p.head_dim, 1, p.delta.taps) for p in parts if p.delta
        ]
        stored = shapes[0] if shapes else None
        taps = Rule(f"{place}.linear_attn.conv1d.weight", f"{ours}taps", stored=stored)
        more = with_optional_prefix("model.", (*queries, *NORMS, *numbers, taps))
        return (*super().rules(config), *more)

    def new(self, sizes: Sizes) -> dict[str, Any]:
        described = super().new(sizes)
        heads, size = sizes.heads, described["head_dim"]
        # a quarter of a head, where that is a number of pairs
        share = 0.25 if size % 8 == 0 else 1.0
        return {
            **described,
            "linear_num_key_heads": heads,
            "linear_num_value_heads": heads,
            "linear_key_head_dim": size,
            "linear_value_head_dim": size,
            "partial_rotary_factor": share,
        }

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        """Beside buffers, what predicts several tokens at once."""
        return (*super().ignored(config), "mtp.*")


def _sizes(own: AttentionConfig, delta: DeltaConfig) -> dict[str, Any]:
    """The keys of a layer of the delta rule."""
    return {
        "linear_conv_kernel_dim": delta.taps,
        "linear_key_head_dim": delta.key_dim,
        "linear_value_head_dim": own.head_dim,
        "linear_num_key_heads": delta.key_heads,
        "linear_num_value_heads": own.heads,
    }


def _kinds(config: HfConfig) -> tuple[str, ...]:
    """The kind of each layer; one of four, or of another number, is full where nothing says."""
    every = config.whole("full_attention_interval", 4)
    return layer_kinds(config, lambda i: LINEAR if (i + 1) % every else FULL, (FULL, LINEAR))
