"""The Qwen3 family (arXiv:2505.09388): queries and keys are normalised, head by head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GatedFamily, Traits, decoder_of, read_gated, write_gated
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.names import Rule
from lmkernel.families.qwen2 import QWEN_KEYS
from lmkernel.families.windows import with_windows, write_window

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.family import HfConfig

__all__ = ["NORMS", "Qwen3"]

NORMS = tuple(
    Rule(
        f"model.layers.{{i}}.self_attn.{part}.weight",
        f"decoder.layers.{{i}}.attention.{part}.weight",
    )
    for part in ("q_norm", "k_norm")
)


@final
class Qwen3(GatedFamily):
    """``model_type`` ``"qwen3"``; some layers have a window, or all, or none."""

    keys = QWEN_KEYS.but(head_dim=128, attention_bias=False)
    more = NORMS

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        bias = config.flag("attention_bias", default=False)
        traits = Traits(
            bias=bias,
            out_bias=bias,
            qk_norm=True,
            context=32768,
        )
        return with_windows(config, read_gated(config, traits))

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return {
            **write_gated(config, "qwen3", "Qwen3ForCausalLM"),
            "attention_bias": decoder_of(config).attention.bias,
            **write_window(config),
        }

    def gguf(self) -> GgufArchitecture:
        return GgufArchitecture(
            class_name="Qwen3ForCausalLM", qk_norm=True, flags=("attention_bias",)
        )
