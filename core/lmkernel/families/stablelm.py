"""The StableLM 2 family (arXiv:2402.17834): layer norms, and RoPE of a quarter of each head."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import NormConfig
from lmkernel.families.gated import GATED_KEYS, GatedFamily, Traits
from lmkernel.families.gguf_architecture import GgufArchitecture

if TYPE_CHECKING:
    from lmkernel.families.sizes import Sizes

__all__ = ["StableLm"]


@final
class StableLm(GatedFamily):
    """``model_type`` ``"stablelm"``; parallel layers, where there are some, share one norm."""

    model_type, class_name = "stablelm", "StableLmForCausalLM"
    keys = GATED_KEYS.but(
        vocab_size=50304,
        hidden_size=2560,
        intermediate_size=6912,
        num_key_value_heads=32,
        max_position_embeddings=4096,
        layer_norm_eps=1e-5,
        partial_rotary_factor=0.25,
        use_qkv_bias=False,
        use_parallel_residual=False,
        hidden_dropout=0.0,
        inert=("rms_norm_eps", "head_dim"),
        refused={"qk_layernorm": False},
    )
    traits = Traits(partial=0.25)
    fixed = MappingProxyType({"decoder.norm": NormConfig(kind="layer")})
    carried = MappingProxyType(
        {
            "layer_norm_eps": "decoder.norm.eps",
            "use_qkv_bias": "decoder.attention.bias",
            "use_parallel_residual": ("decoder.parallel", "decoder.shared_norm"),
            "hidden_dropout": "decoder.dropout",
        }
    )
    layout = GgufArchitecture(
        class_name="StableLmForCausalLM",
        biases=True,
        partial=True,
        fields={"use_parallel_residual": "use_parallel_residual"},
        complete=lambda names, _: {"use_qkv_bias": "blk.0.attn_q.bias" in names},
    )

    def new(self, sizes: Sizes) -> dict[str, Any]:
        described = super().new(sizes)
        del described["rms_norm_eps"], described["head_dim"]
        # a quarter of a head, where that is a number of pairs
        share = 0.25 if sizes.width // sizes.heads % 8 == 0 else 1.0
        return {**described, "partial_rotary_factor": share, "hidden_dropout": sizes.dropout}
