"""The Granite 3 family: Llama with four multipliers (arXiv:2203.03466 says what they are for)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError
from lmkernel.families.gated import (
    GATED_KEYS,
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

__all__ = ["Granite"]


@final
class Granite(GatedFamily):
    """``model_type`` ``"granite"``; the logits are divided, the others multiply."""

    keys = GATED_KEYS.but(
        attention_bias=False,
        mlp_bias=False,
        embedding_multiplier=1.0,
        logits_scaling=1.0,
        residual_multiplier=1.0,
        attention_multiplier=1.0,
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

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        bias = config.flag("attention_bias", default=False)
        mlp_bias = config.flag("mlp_bias", default=False)
        traits = Traits(bias=bias, out_bias=bias, mlp_bias=mlp_bias, context=2048)
        return with_changes(
            read_gated(config, traits),
            embedding={"scale": config.number("embedding_multiplier")},
            stack={"residual_scale": config.number("residual_multiplier")},
            attention={"scale": config.number("attention_multiplier")},
            head={"scale": 1 / config.number("logits_scaling")},
        )

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, head = decoder_of(config), config.head
        if head is None:
            raise CheckpointError("expected a head")
        return {
            **write_gated(config, "granite", "GraniteForCausalLM"),
            "attention_bias": stack.attention.bias,
            "mlp_bias": stack.mlp.bias,
            "embedding_multiplier": config.embedding.scale,
            "residual_multiplier": stack.residual_scale,
            "attention_multiplier": stack.attention.scale,
            "logits_scaling": 1 / head.scale,
        }
