"""The Phi-3 family, and Phi-4 (arXiv:2404.14219): Llama with fused products and LongRoPE."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GATED_KEYS, LAYER, GatedFamily, Traits
from lmkernel.families.gguf_architecture import GgufArchitecture

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig

__all__ = ["Phi3"]

_FUSED = MappingProxyType(
    {
        "self_attn.qkv_proj": ("attention.q", "attention.k", "attention.v"),
        "mlp.gate_up_proj": ("mlp.gate", "mlp.up"),
    }
)
_SEPARATE = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")


@final
class Phi3(GatedFamily):
    """``model_type`` ``"phi3"``; RoPE may turn a part of each head (Phi-4-mini)."""

    model_type, class_name = "phi3", "Phi3ForCausalLM"
    layer = MappingProxyType(
        {**{k: v for k, v in LAYER.items() if not k.endswith(_SEPARATE)}, **_FUSED}
    )
    keys = GATED_KEYS.but(
        vocab_size=32064,
        hidden_size=3072,
        intermediate_size=8192,
        max_position_embeddings=4096,
        original_max_position_embeddings=4096,
        rms_norm_eps=1e-5,
        partial_rotary_factor=1.0,
        sliding_window=None,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        inert=("attention_bias",),
    )
    traits = Traits(partial=1.0)
    carried = MappingProxyType(
        {
            "sliding_window": "decoder.attention.window",
            "resid_pdrop": "decoder.dropout",
            "embd_pdrop": "embedding.dropout",
        }
    )
    layout = GgufArchitecture(
        class_name="Phi3ForCausalLM",
        partial=True,
        fields={
            "attention.sliding_window": "sliding_window",
            "rope.scaling.original_context_length": "original_max_position_embeddings",
        },
    )

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        rotary = config.embedding.rotary
        stretched = rotary is not None and rotary.scaling == "longrope"
        original = rotary.original_context if rotary and stretched else config.context
        return {"original_max_position_embeddings": original}
