"""The Qwen2 family (arXiv:2407.10671): queries, keys and values have biases, nothing else has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GATED_KEYS, GatedFamily, Traits
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.windows import WINDOW_KEYS, with_windows, write_window

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.family import HfConfig

__all__ = ["QWEN_KEYS", "Qwen2"]

QWEN_KEYS = GATED_KEYS.but(
    vocab_size=151936,
    intermediate_size=22016,
    num_key_value_heads=32,
    max_position_embeddings=32768,
    **WINDOW_KEYS,
    nullable=("num_key_value_heads", "sliding_window"),
)
"""What Qwen2 and Qwen3 have in common."""


@final
class Qwen2(GatedFamily):
    """``model_type`` ``"qwen2"``; some layers have a window, or all, or none."""

    model_type, class_name = "qwen2", "Qwen2ForCausalLM"
    keys = QWEN_KEYS
    traits = Traits(bias=True)
    layout = GgufArchitecture(class_name="Qwen2ForCausalLM", qkv_bias=True)

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        return with_windows(config, model)

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        return write_window(config)
