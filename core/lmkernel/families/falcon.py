"""The Falcon family (arXiv:2311.16867): one key head, or a few; parallel layers; RoPE or biases."""

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

__all__ = ["Falcon"]

_LAYER: Mapping[str, str | tuple[str, ...]] = MappingProxyType(
    {
        "self_attention.query_key_value": ("attention.q", "attention.k", "attention.v"),
        "self_attention.dense": "attention.o",
        "mlp.dense_h_to_4h": "mlp.up",
        "mlp.dense_4h_to_h": "mlp.down",
    }
)
_ONE = MappingProxyType(
    {"input_layernorm": "attention_norm", "post_attention_layernorm": "mlp_norm"}
)
_TWO = MappingProxyType({"ln_attn": "attention_norm", "ln_mlp": "mlp_norm"})


@final
class Falcon(Family):
    """``model_type`` ``"falcon"``.

    Parallel layers have one norm, or two in the newer of its two shapes, in which a key head lies
    with its queries.
    """

    keys = ConfigKeys(
        read={
            **ROPE_KEYS,
            "vocab_size": 65024,
            "hidden_size": 4544,
            "num_hidden_layers": 32,
            "num_attention_heads": 71,
            "num_ln_in_parallel_attn": None,
            "layer_norm_epsilon": 1e-5,
            "initializer_range": 0.02,
            "hidden_dropout": 0.0,
            "num_kv_heads": None,
            "alibi": False,
            "new_decoder_architecture": False,
            "multi_query": True,
            "parallel_attn": True,
            "bias": False,
            "max_position_embeddings": 2048,
            "ffn_hidden_size": None,
            "activation": "gelu",
            "tie_word_embeddings": True,
            "pad_token_id": None,
            "n_embed": None,
        },
        refused={"partial_rotary_factor": 1.0},
        nullable=key_set(
            "layer_norm_epsilon hidden_dropout alibi new_decoder_architecture multi_query "
            "parallel_attn bias activation"
        ),
    )

    layout = GgufArchitecture(
        class_name="FalconForCausalLM",
        biases=True,
        complete=lambda names, so_far: {
            "ffn_hidden_size": so_far["intermediate_size"],
            "bias": "blk.0.attn_qkv.bias" in names,
            "new_decoder_architecture": "blk.0.attn_norm_2.weight" in names,
            "num_kv_heads": so_far["num_key_value_heads"],
            "multi_query": so_far["num_key_value_heads"] == 1,
        },
    )

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        width = config.whole("n_embed", config.whole("hidden_size"))
        heads, vocab = config.whole("num_attention_heads"), config.whole("vocab_size")
        context, head_dim = config.whole("max_position_embeddings"), max(1, width // heads)
        newer = config.flag("new_decoder_architecture", default=False)
        parallel = newer or config.flag("parallel_attn", default=True)
        norms = config.whole("num_ln_in_parallel_attn", 2 if newer else 1)
        alone = config.flag("multi_query", default=True) and not newer
        kv_heads = config.whole("num_kv_heads", heads) if newer else 1 if alone else heads
        bias, biased = config.flag("bias", default=False), config.flag("alibi", default=False)
        rotary = None if biased else read_rope(config, head_dim, context)
        return ModelConfig(
            embedding=EmbeddingConfig(
                width=width,
                vocab=vocab,
                positions="none" if biased else "rotary",
                rotary=rotary,
            ),
            decoder=TransformerConfig(
                width=width,
                layers=config.whole("num_hidden_layers"),
                attention=AttentionConfig(
                    width=width,
                    heads=heads,
                    kv_heads=kv_heads,
                    bias=bias,
                    out_bias=bias,
                    # the biases are scaled with the scores
                    alibi=head_dim**-0.5 if biased else 0.0,
                    rotary=None if biased else 0,
                ),
                mlp=MlpConfig(
                    hidden=config.whole("ffn_hidden_size", 4 * width),
                    activation=config.choice("activation", ACTIVATIONS, "gelu"),
                    gated=False,
                    bias=bias,
                ),
                norm=NormConfig(kind="layer", eps=config.number("layer_norm_epsilon")),
                parallel=parallel,
                shared_norm=parallel and norms == 1,
                causal=True,
                dropout=config.rate("hidden_dropout", 0.0),
            ),
            head=HeadConfig(
                width=width, size=vocab, tied=config.flag("tie_word_embeddings", default=True)
            ),
            context=context,
            init=InitConfig(scale=config.number("initializer_range")),
        )

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, head, rotary = decoder_of(config), config.head, config.embedding.rotary
        if head is None:
            raise CheckpointError("expected a head")
        attention, newer = stack.attention, _is_newer(config)
        return {
            "architectures": ["FalconForCausalLM"],
            "model_type": "falcon",
            "vocab_size": head.size,
            "hidden_size": stack.width,
            "num_hidden_layers": stack.layers,
            "num_attention_heads": attention.heads,
            "num_kv_heads": attention.kv_heads,
            "multi_query": attention.kv_heads == 1,
            "new_decoder_architecture": newer,
            "parallel_attn": stack.parallel,
            "num_ln_in_parallel_attn": (1 if stack.shared_norm else 2) if newer else None,
            "alibi": bool(attention.alibi),
            "bias": attention.bias,
            "ffn_hidden_size": stack.mlp.hidden,
            "activation": name_of_activation(stack.mlp.activation),
            "layer_norm_epsilon": stack.norm.eps,
            "hidden_dropout": stack.dropout,
            "max_position_embeddings": config.context,
            "initializer_range": config.init.scale if config.init else 0.02,
            "tie_word_embeddings": head.tied,
            **({} if rotary is None else write_rope(rotary, config.context)),
        }

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        stack = decoder_of(config)
        norms = _TWO if stack.parallel and not stack.shared_norm else _ONE
        body = (
            Rule("transformer.word_embeddings.weight", "embedding.tokens.weight"),
            *in_groups(
                layer_rules("transformer.h.{i}", {**_LAYER, **norms}), stack.attention.kv_heads
            ),
            *(
                Rule(f"transformer.ln_f.{leaf}", f"decoder.norm.{leaf}")
                for leaf in ("weight", "bias")
            ),
        )
        return (*with_optional_prefix("transformer.", body), Rule("lm_head.weight", "head.weight"))

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        """Buffers of older files."""
        del config
        return ("*.rotary_emb.inv_freq",)

    def new(self, sizes: Sizes) -> dict[str, Any]:
        return {
            "vocab_size": sizes.vocab,
            "hidden_size": sizes.width,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "ffn_hidden_size": sizes.inner,
            "max_position_embeddings": sizes.context,
            "hidden_dropout": sizes.dropout,
        }


def _is_newer(config: ModelConfig) -> bool:
    """Whether it takes the newer shape to say which heads and norms there are."""
    stack = decoder_of(config)
    few = stack.attention.kv_heads not in (1, stack.attention.heads)
    return few or (stack.parallel and not stack.shared_norm)
