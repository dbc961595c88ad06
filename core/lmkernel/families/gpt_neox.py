"""The GPT-NeoX family, and Pythia (arXiv:2204.06745): parallel layers, RoPE of a quarter of a head.

A head's queries, keys and values lie together, and then the next head's.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    InitConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    TransformerConfig,
)
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.family import ACTIVATIONS, Family, name_of_activation
from lmkernel.families.gated import decoder_of
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.names import Rule, in_groups, layer_rules, with_optional_prefix
from lmkernel.families.rope import ROPE_KEYS, read_rope, write_rope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.hf_config import HfConfig
    from lmkernel.families.sizes import Sizes

__all__ = ["GptNeoX"]

_LAYER: Mapping[str, str | tuple[str, ...]] = MappingProxyType(
    {
        "input_layernorm": "attention_norm",
        "post_attention_layernorm": "mlp_norm",
        "attention.query_key_value": ("attention.q", "attention.k", "attention.v"),
        "attention.dense": "attention.o",
        "mlp.dense_h_to_4h": "mlp.up",
        "mlp.dense_4h_to_h": "mlp.down",
    }
)
_NAMES = MappingProxyType({"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"})
"""What RoPE's usual keys are called here; where a file has those, too, they say nothing."""


@final
class GptNeoX(Family):
    """``model_type`` ``"gpt_neox"``."""

    keys = ConfigKeys(
        read={
            **{key: default for key, default in ROPE_KEYS.items() if key not in _NAMES},
            "vocab_size": 50432,
            "hidden_size": 6144,
            "num_hidden_layers": 44,
            "num_attention_heads": 64,
            "intermediate_size": 24576,
            "hidden_act": "gelu",
            "hidden_dropout": 0.0,
            "max_position_embeddings": 2048,
            "initializer_range": 0.02,
            "layer_norm_eps": 1e-5,
            "tie_word_embeddings": False,
            "pad_token_id": None,
            "use_parallel_residual": True,
            "attention_bias": True,
            "head_dim": None,
            "rotary_pct": None,
            "rotary_emb_base": None,
        },
        inert=key_set("classifier_dropout"),
        instead=_NAMES,
    )

    layout = GgufArchitecture(
        class_name="GPTNeoXForCausalLM",
        name="gptneox",
        biases=True,
        partial=True,
        fields={"use_parallel_residual": "use_parallel_residual"},
        values={"hidden_act": "gelu"},
        complete=lambda names, so_far: {
            "attention_bias": "blk.0.attn_qkv.bias" in names,
            **{own: so_far[usual] for usual, own in _NAMES.items()},
        },
    )

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
        vocab, context = config.whole("vocab_size"), config.whole("max_position_embeddings")
        named = type(config)(config.values, config.where, _NAMES)
        # a share of it is turned, though a head's size is another key's
        of = config.whole("head_dim", max(1, width // heads))
        rotary = read_rope(named, of, context, partial=0.25)
        bias = config.flag("attention_bias", default=True)
        return ModelConfig(
            embedding=EmbeddingConfig(width=width, vocab=vocab, positions="rotary", rotary=rotary),
            decoder=TransformerConfig(
                width=width,
                layers=config.whole("num_hidden_layers"),
                attention=AttentionConfig(width=width, heads=heads, bias=bias, out_bias=bias),
                mlp=MlpConfig(
                    hidden=config.whole("intermediate_size"),
                    activation=config.choice("hidden_act", ACTIVATIONS, "gelu"),
                    gated=False,
                    bias=True,
                ),
                norm=NormConfig(kind="layer", eps=config.number("layer_norm_eps")),
                parallel=config.flag("use_parallel_residual", default=True),
                causal=True,
                dropout=config.rate("hidden_dropout", 0.0),
            ),
            head=HeadConfig(
                width=width, size=vocab, tied=config.flag("tie_word_embeddings", default=False)
            ),
            context=context,
            init=InitConfig(scale=config.number("initializer_range")),
        )

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, rotary, head = decoder_of(config), config.embedding.rotary, config.head
        if rotary is None or head is None:
            raise CheckpointError("expected rotary positions and a head")
        written = write_rope(rotary, config.context, stack.attention.head_dim)
        table = {key: value for key, value in written.items() if key not in _NAMES}
        return {
            "architectures": ["GPTNeoXForCausalLM"],
            "model_type": "gpt_neox",
            "vocab_size": head.size,
            "hidden_size": stack.width,
            "num_hidden_layers": stack.layers,
            "num_attention_heads": stack.attention.heads,
            "intermediate_size": stack.mlp.hidden,
            "hidden_act": name_of_activation(stack.mlp.activation),
            "hidden_dropout": stack.dropout,
            "max_position_embeddings": config.context,
            "initializer_range": config.init.scale if config.init else 0.02,
            "layer_norm_eps": stack.norm.eps,
            "tie_word_embeddings": head.tied,
            "use_parallel_residual": stack.parallel,
            "attention_bias": stack.attention.bias,
            **table,
            "rotary_emb_base": rotary.theta,
            "rotary_pct": rotary.dim / stack.attention.head_dim,
        }

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        heads = decoder_of(config).attention.heads
        body = (
            Rule("gpt_neox.embed_in.weight", "embedding.tokens.weight"),
            *in_groups(layer_rules("gpt_neox.layers.{i}", _LAYER), heads),
            *(
                Rule(f"gpt_neox.final_layer_norm.{leaf}", f"decoder.norm.{leaf}")
                for leaf in ("weight", "bias")
            ),
        )
        return (*with_optional_prefix("gpt_neox.", body), Rule("embed_out.weight", "head.weight"))

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        """Buffers of older files."""
        del config
        names = ("attention.bias", "attention.masked_bias", "rotary_emb.inv_freq")
        return tuple(f"*.{name}" for name in names)

    def new(self, sizes: Sizes) -> dict[str, Any]:
        return {
            "vocab_size": sizes.vocab,
            "hidden_size": sizes.width,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "intermediate_size": sizes.inner,
            "max_position_embeddings": sizes.context,
            "hidden_dropout": sizes.dropout,
            "tie_word_embeddings": True,
            # a quarter of a head, where that is a number of pairs
            "rotary_pct": 0.25 if sizes.width // sizes.heads % 8 == 0 else 1.0,
        }
