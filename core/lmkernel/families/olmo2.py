"""The OLMo 2 family (arXiv:2501.00656): norms of outputs, and of queries and keys as wholes."""

from __future__ import annotations

from types import MappingProxyType
from typing import final

from lmkernel.families.gated import GATED_KEYS, LAYER, GatedFamily, Traits
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.llama import ATTENTION_BIAS

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

    model_type, class_name = "olmo2", "Olmo2ForCausalLM"
    layer = MappingProxyType(
        {**{k: v for k, v in LAYER.items() if not k.endswith("layernorm")}, **_NORMS}
    )
    keys = GATED_KEYS.but(
        vocab_size=50304,
        rms_norm_eps=1e-5,
        attention_bias=False,
        pad_token_id=1,
        nullable=("pad_token_id",),
    )
    traits = Traits(qk_norm=True)
    carried = ATTENTION_BIAS
    fixed = MappingProxyType(
        {
            "decoder.pre_norm": False,
            "decoder.output_norm": True,
            "decoder.attention.qk_norm_whole": True,
        }
    )
    layout = GgufArchitecture(class_name="Olmo2ForCausalLM")
