"""The Llama family (arXiv:2302.13971): biases if the configuration says so, every position seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import (
    GATED_KEYS,
    GatedFamily,
    Traits,
    decoder_of,
    read_gated,
    write_gated,
)
from lmkernel.families.gguf_architecture import GgufArchitecture

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.family import HfConfig

__all__ = ["Llama"]


@final
class Llama(GatedFamily):
    """``model_type`` ``"llama"``."""

    keys = GATED_KEYS.but(attention_bias=False, mlp_bias=False)

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        bias = config.flag("attention_bias", default=False)
        mlp_bias = config.flag("mlp_bias", default=False)
        traits = Traits(bias=bias, out_bias=bias, mlp_bias=mlp_bias, context=2048)
        return read_gated(config, traits)

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack = decoder_of(config)
        return {
            **write_gated(config, "llama", "LlamaForCausalLM"),
            "attention_bias": stack.attention.bias,
            "mlp_bias": stack.mlp.bias,
        }

    def gguf(self) -> GgufArchitecture:
        return GgufArchitecture(
            class_name="LlamaForCausalLM", interleaved=True, flags=("attention_bias", "mlp_bias")
        )
