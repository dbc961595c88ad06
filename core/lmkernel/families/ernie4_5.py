"""The ERNIE 4.5 family, its dense models: Llama whose RoPE turns neighbours."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel.families.carried import with_fields
from lmkernel.families.gated import GATED_KEYS, GatedFamily, decoder_of
from lmkernel.families.gguf_architecture import GgufArchitecture

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Ernie45"]


@final
class Ernie45(GatedFamily):
    """``model_type`` ``"ernie4_5"``."""

    model_type, class_name = "ernie4_5", "Ernie4_5ForCausalLM"
    keys = GATED_KEYS.but(
        vocab_size=103424,
        hidden_size=1024,
        intermediate_size=3072,
        num_hidden_layers=18,
        num_attention_heads=16,
        num_key_value_heads=2,
        head_dim=128,
        max_position_embeddings=131072,
        rms_norm_eps=1e-5,
        rope_theta=500000.0,
        tie_word_embeddings=True,
        use_bias=False,
        pad_token_id=0,
        nullable=("num_key_value_heads", "head_dim", "use_bias", "pad_token_id"),
    )
    carried = MappingProxyType(
        {"use_bias": ("decoder.attention.bias", "decoder.attention.out_bias", "decoder.mlp.bias")}
    )

    layout = GgufArchitecture(
        class_name="Ernie4_5ForCausalLM",
        biases=True,
        complete=lambda names, _: {"use_bias": "blk.0.attn_q.bias" in names},
    )

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        del config
        turned = decoder_of(model).attention.head_dim
        return with_fields(model, {"decoder.attention.interleaved": turned})
