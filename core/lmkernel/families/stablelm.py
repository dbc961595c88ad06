"""The StableLM 2 family (arXiv:2402.17834): layer norms, and RoPE of a quarter of each head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.config import NormConfig
from lmkernel.families.gated import (
    GATED_KEYS,
    GatedFamily,
    Traits,
    decoder_of,
    read_gated,
    with_changes,
    write_partial,
)
from lmkernel.families.gguf_architecture import GgufArchitecture

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig
    from lmkernel.families.sizes import Sizes

__all__ = ["StableLm"]


@final
class StableLm(GatedFamily):
    """``model_type`` ``"stablelm"``; parallel layers, where there are some, share one norm."""

    keys = GATED_KEYS.but(
        vocab_size=50304,
        hidden_size=2560,
        intermediate_size=6912,
        num_key_value_heads=32,
        max_position_embeddings=4096,
        layer_norm_eps=1e-5,
        partial_rotary_factor=None,
        use_qkv_bias=False,
        use_parallel_residual=False,
        hidden_dropout=0.0,
        inert=("rms_norm_eps", "head_dim"),
        refused={"qk_layernorm": False},
    )

    layout = GgufArchitecture(
        class_name="StableLmForCausalLM",
        biases=True,
        partial=True,
        fields={"use_parallel_residual": "use_parallel_residual"},
        complete=lambda names, _: {"use_qkv_bias": "blk.0.attn_q.bias" in names},
    )

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        bias = config.flag("use_qkv_bias", default=False)
        parallel = config.flag("use_parallel_residual", default=False)
        norm = NormConfig(kind="layer", eps=config.number("layer_norm_eps"))
        dropout = config.rate("hidden_dropout", 0.0)
        return with_changes(
            read_gated(config, Traits(bias=bias, context=4096, partial=0.25)),
            stack={
                "norm": norm,
                "parallel": parallel,
                "shared_norm": parallel,
                "dropout": dropout,
            },
        )

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack = decoder_of(config)
        return {
            **write_partial(config, "stablelm", "StableLmForCausalLM"),
            "layer_norm_eps": stack.norm.eps,
            "use_qkv_bias": stack.attention.bias,
            "use_parallel_residual": stack.parallel,
            "hidden_dropout": stack.dropout,
        }

    def new(self, sizes: Sizes) -> dict[str, Any]:
        described = super().new(sizes)
        del described["rms_norm_eps"], described["head_dim"]
        # a quarter of a head, where that is a number of pairs
        share = 0.25 if sizes.width // sizes.heads % 8 == 0 else 1.0
        return {**described, "partial_rotary_factor": share, "hidden_dropout": sizes.dropout}
