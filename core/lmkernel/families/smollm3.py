"""The SmolLM3 family: Llama in which every fourth layer has no RoPE (arXiv:2501.18795, §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GATED_KEYS, GatedFamily, decoder_of
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.llama import BIASES
from lmkernel.families.windows import FULL, SLIDING, kinds_of, layer_kinds, with_layers

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["SmolLm3"]


@final
class SmolLm3(GatedFamily):
    """``model_type`` ``"smollm3"``; windows, where there are some, are of layers without RoPE."""

    model_type, class_name = "smollm3", "SmolLM3ForCausalLM"
    keys = GATED_KEYS.but(
        vocab_size=128256,
        hidden_size=2048,
        num_hidden_layers=36,
        num_attention_heads=16,
        num_key_value_heads=4,
        max_position_embeddings=32768,
        rope_theta=2_000_000.0,
        tie_word_embeddings=True,
        attention_bias=False,
        mlp_bias=False,
        use_sliding_window=False,
        sliding_window=None,
        no_rope_layers=None,
        no_rope_layer_interval=4,
        layer_types=None,
        pad_token_id=128004,
        nullable=("num_key_value_heads", "pad_token_id"),
    )
    carried = BIASES
    layout = GgufArchitecture(class_name="SmolLM3ForCausalLM", interleaved=True)

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        turning = self._turning(config)
        asked = config.flag("use_sliding_window", default=False) and config.has("sliding_window")
        window = config.whole("sliding_window") if asked else None
        kinds = layer_kinds(config, lambda i: FULL if turning[i] or window is None else SLIDING)
        if window is None and SLIDING in kinds:
            raise config.error("layer_types", f"{FULL} alone where there is no window", SLIDING)
        own = [
            {"rotary": 0 if turns else None, "window": window if kind == SLIDING else None}
            for turns, kind in zip(turning, kinds, strict=True)
        ]
        return with_layers(model, own)

    @staticmethod
    def _turning(config: HfConfig) -> list[bool]:
        """Which layers have RoPE."""
        layers, every = config.listed_layers(), config.whole("no_rope_layer_interval")
        given = config.values.get("no_rope_layers")
        if given is None:
            return [bool((layer + 1) % every) for layer in range(layers)]
        turns = given if isinstance(given, list) else []
        marks = [mark for mark in turns if isinstance(mark, int) and mark in {0, 1}]
        if not len(marks) == len(turns) == layers:
            raise config.error("no_rope_layers", f"a list of {layers} times 0 or 1", given)
        return [bool(mark) for mark in marks]

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        stack = decoder_of(config)
        attentions = [stack.layer(i).attention for i in range(stack.layers)]
        windows = [a.window for a in attentions if a.window]
        return {
            "use_sliding_window": bool(windows),
            "sliding_window": max(windows, default=None),
            "no_rope_layers": [int(a.rotary is not None) for a in attentions],
            "layer_types": kinds_of(stack),
        }
