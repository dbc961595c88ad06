"""The Granite 3 family: Llama with four multipliers (arXiv:2203.03466 says what they are for)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError
from lmkernel.families.carried import with_fields
from lmkernel.families.gated import GATED_KEYS, GatedFamily
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.llama import BIASES

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Granite"]


@final
class Granite(GatedFamily):
    """``model_type`` ``"granite"``; the logits are divided, the others multiply."""

    model_type, class_name = "granite", "GraniteForCausalLM"
    keys = GATED_KEYS.but(
        attention_bias=False,
        mlp_bias=False,
        embedding_multiplier=1.0,
        logits_scaling=1.0,
        residual_multiplier=1.0,
        attention_multiplier=1.0,
    )
    carried = MappingProxyType(
        {
            **BIASES,
            "embedding_multiplier": "embedding.scale",
            "residual_multiplier": "decoder.residual_scale",
            "attention_multiplier": "decoder.attention.scale",
        }
    )
    layout = GgufArchitecture(
        class_name="GraniteForCausalLM",
        interleaved=True,
        fields={
            "attention.scale": "attention_multiplier",
            "embedding_scale": "embedding_multiplier",
            "residual_scale": "residual_multiplier",
            "logit_scale": "logits_scaling",
        },
    )

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        return with_fields(model, {"head.scale": 1 / config.positive_number("logits_scaling")})

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        if config.head is None:
            raise CheckpointError("expected a head")
        return {"logits_scaling": 1 / config.head.scale}
