"""The GLM-4 families (arXiv:2406.12793): half of each head is turned, by neighbours.

``glm`` is GLM-4 of 2024; ``glm4``, of 2025, normalises what comes out of a sublayer, too.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.families.carried import with_fields
from lmkernel.families.gated import GATED_KEYS, LAYER, GatedFamily, Traits
from lmkernel.families.gguf_architecture import GgufArchitecture

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig
    from lmkernel.families.sizes import Sizes

__all__ = ["Glm", "Glm4"]

_LAYER: Mapping[str, str | tuple[str, ...]] = MappingProxyType(
    {
        **{k: v for k, v in LAYER.items() if k not in ("mlp.gate_proj", "mlp.up_proj")},
        "mlp.gate_up_proj": ("mlp.gate", "mlp.up"),
    }
)


def _biases(names: Collection[str], so_far: Mapping[str, Any]) -> dict[str, bool]:
    """Whether queries, keys and values have biases, by the tensors of a GGUF file."""
    del so_far
    return {"attention_bias": "blk.0.attn_q.bias" in names}


class _Glm(GatedFamily):
    """What both share."""

    layer = _LAYER
    keys = GATED_KEYS.but(
        vocab_size=151552,
        intermediate_size=13696,
        num_hidden_layers=40,
        num_key_value_heads=2,
        head_dim=128,
        max_position_embeddings=131072,
        rms_norm_eps=1.5625e-07,
        attention_bias=True,
        partial_rotary_factor=0.5,
        pad_token_id=151329,
        nullable=("pad_token_id",),
    )
    traits = Traits(partial=0.5)
    carried = MappingProxyType({"attention_bias": "decoder.attention.bias"})

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        del config
        turned = model.embedding.rotaries[0].dim
        return with_fields(model, {"decoder.attention.interleaved": turned})

    def new(self, sizes: Sizes) -> dict[str, Any]:
        described = super().new(sizes)
        # half of a head, where that is a number of pairs
        share = 0.5 if described["head_dim"] % 4 == 0 else 1.0
        return {**described, "partial_rotary_factor": share}


@final
class Glm(_Glm):
    """``model_type`` ``"glm"``."""

    model_type, class_name = "glm", "GlmForCausalLM"
    keys = _Glm.keys.but(nullable=("num_key_value_heads", "head_dim"))
    layout = GgufArchitecture(
        class_name=class_name, name="chatglm", qkv_bias=True, partial=True, complete=_biases
    )


@final
class Glm4(_Glm):
    """``model_type`` ``"glm4"``."""

    model_type, class_name = "glm4", "Glm4ForCausalLM"
    layer = MappingProxyType(
        {
            **_LAYER,
            "post_self_attn_layernorm": "attention_output_norm",
            "post_mlp_layernorm": "mlp_output_norm",
        }
    )
    fixed = MappingProxyType({"decoder.output_norm": True})
    layout = GgufArchitecture(class_name=class_name, qkv_bias=True, partial=True, complete=_biases)
