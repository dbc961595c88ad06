"""The OLMo 2 family (arXiv:2501.00656): norms of outputs, and of queries and keys as wholes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

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

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Olmo2"]

_NORMS = {
    "post_attention_layernorm": "attention_output_norm",
    "post_feedforward_layernorm": "mlp_output_norm",
    "self_attn.q_norm": "attention.q_norm",
    "self_attn.k_norm": "attention.k_norm",
}


@final
class Olmo2(GatedFamily):
    """``model_type`` ``"olmo2"``."""

    layer = MappingProxyType(
        {**{k: v for k, v in LAYER.items() if not k.endswith("layernorm")}, **_NORMS}
    )
    keys = GATED_KEYS.but(vocab_size=50304, rms_norm_eps=1e-5, attention_bias=False)

    layout = GgufArchitecture(class_name="Olmo2ForCausalLM")

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        bias = config.flag("attention_bias", default=False)
        model = read_gated(config, Traits(bias=bias, out_bias=bias, context=2048))
        return with_changes(
            model,
            stack={"pre_norm": False, "output_norm": True},
            attention={"qk_norm": decoder_of(model).norm, "qk_norm_whole": True},
        )

    def write(self, config: ModelConfig) -> dict[str, Any]:
        written = write_gated(config, "olmo2", "Olmo2ForCausalLM")
        return {**written, "attention_bias": decoder_of(config).attention.bias}
