"""The Phi-3 family, and Phi-4 (arXiv:2404.14219): Llama with fused products and LongRoPE."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GATED_KEYS, LAYER, GatedFamily, Traits
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.hf_config import HfConfig

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig

__all__ = ["Phi3"]

_FUSED = MappingProxyType(
    {
        "self_attn.qkv_proj": ("attention.q", "attention.k", "attention.v"),
        "mlp.gate_up_proj": ("mlp.gate", "mlp.up"),
    }
)
_KINDS = MappingProxyType({"default": "default", "longrope": "longrope", "yarn": "longrope"})
"""What transformers' class makes of each kind of RoPE; it refuses the others."""
_TABLES = ("rope_scaling", "rope_parameters")
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
        pad_token_id=32000,
        nullable=("pad_token_id",),
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

    def read(self, config: HfConfig) -> ModelConfig:
        return super().read(_as_its_class(config))

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        rotary = config.embedding.rotary
        stretched = rotary is not None and rotary.scaling == "longrope"
        original = rotary.original_context if rotary and stretched else config.context
        return {"original_max_position_embeddings": original}


def _as_its_class(config: HfConfig) -> HfConfig:
    """The configuration with the kind of RoPE that transformers' class computes."""
    key = next((key for key in _TABLES if config.part(key) is not None), None)
    table = None if key is None else config.part(key)
    if key is None or table is None:
        return config
    named = "rope_type" if table.has("rope_type") else "type"
    said = {**table.values, "rope_type": table.choice(named, _KINDS, "default")}
    return HfConfig({**config.values, key: said}, config.where)
