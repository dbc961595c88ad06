"""ModernBERT (arXiv:2412.13663): pre-norm, gated MLP, windows in two layers of three, two RoPEs.

The embedding is normalised, and the first layer's attention reads it as it is.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, final

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadTransformConfig,
    MlpConfig,
    NormConfig,
    TransformerConfig,
)
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.encoder import EncoderFamily
from lmkernel.families.encoder_heads import HeadKind
from lmkernel.families.family import ACTIVATIONS, name_of_activation
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.rope import read_rope, write_rope
from lmkernel.families.windows import FULL, SLIDING, kinds_of, layer_kinds, stack_of

if TYPE_CHECKING:
    from lmkernel.config import HeadConfig, ModelConfig, RotaryConfig

__all__ = ["ModernBert"]

_POOLINGS = MappingProxyType({"cls": "first", "mean": "mean"})
_BASES = ((FULL, "global_rope_theta", 160_000.0), (SLIDING, "local_rope_theta", 10_000.0))


def _norm(config: HfConfig) -> NormConfig:
    bias = config.flag("norm_bias", default=False)
    return NormConfig(kind="layer", eps=config.number("norm_eps"), bias=bias)


def _transform(config: HfConfig) -> HeadTransformConfig:
    return HeadTransformConfig(
        activation=config.choice("classifier_activation", ACTIVATIONS, "gelu"),
        norm=_norm(config),
        bias=config.flag("classifier_bias", default=False),
    )


def _kind(architecture: str, last: str = "classifier") -> HeadKind:
    return HeadKind(
        architecture=f"ModernBert{architecture}",
        parts={"head.dense": "head.transform", "head.norm": "head.norm", last: "head"},
        transform=_transform,
    )


@final
class ModernBert(EncoderFamily):
    """``model_type`` ``"modernbert"``."""

    model_type = "modernbert"
    prefix = "model."
    kinds: ClassVar = MappingProxyType(
        {
            "vectors": HeadKind(architecture="ModernBertModel", parts={}),
            "masked": _kind("ForMaskedLM", "decoder"),
            "classes": _kind("ForSequenceClassification"),
            "tokens": _kind("ForTokenClassification"),
            "span": _kind("ForQuestionAnswering"),
            "choice": _kind("ForMultipleChoice"),
        }
    )
    tables: ClassVar = MappingProxyType({"embeddings.tok_embeddings": "tokens"})
    layer = "layers.{i}."
    products: ClassVar = MappingProxyType(
        {
            "attn.Wqkv": ("attention.q", "attention.k", "attention.v"),
            "attn.Wo": "attention.o",
            "mlp.Wi": ("mlp.gate", "mlp.up"),
            "mlp.Wo": "mlp.down",
        }
    )
    norms: ClassVar = MappingProxyType({"attn_norm": "attention_norm", "mlp_norm": "mlp_norm"})
    first = "embeddings.norm"
    last = "final_norm"
    own: ClassVar = MappingProxyType(
        {"hidden_act": "hidden_activation", "layer_norm_eps": "norm_eps"}
    )
    fixed: ClassVar = MappingProxyType(
        {"type_vocab_size": 0, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    )
    unused = ("*rotary_emb.*",)
    keys = ConfigKeys(
        read={
            "architectures": None,
            "vocab_size": 50368,
            "hidden_size": 768,
            "intermediate_size": 1152,
            "num_hidden_layers": 22,
            "num_attention_heads": 12,
            "hidden_activation": "gelu",
            "max_position_embeddings": 8192,
            "initializer_range": 0.02,
            "norm_eps": 1e-5,
            "norm_bias": False,
            "attention_bias": False,
            "mlp_bias": False,
            "layer_types": None,
            "rope_parameters": None,
            "local_attention": 128,
            "embedding_dropout": 0.0,
            "decoder_bias": True,
            "classifier_pooling": "cls",
            "classifier_dropout": 0.0,
            "classifier_bias": False,
            "classifier_activation": "gelu",
            "tie_word_embeddings": True,
            "id2label": None,
            "num_labels": 2,
            # of transformers 4
            "global_attn_every_n_layers": None,
            "global_rope_theta": None,
            "local_rope_theta": None,
        },
        refused={"rope_scaling": None},
        inert=key_set(
            "initializer_cutoff_factor mlp_dropout deterministic_flash_attn sparse_prediction "
            "sparse_pred_ignore_index reference_compile repad_logits_with_grad "
            "position_embedding_type layer_norm_eps is_causal"
        ),
    )

    def embedding(self, config: HfConfig) -> EmbeddingConfig:
        whole, local = (_rotary(config, *base) for base in _BASES)
        return EmbeddingConfig(
            width=config.whole("hidden_size"),
            vocab=config.whole("vocab_size"),
            positions="rotary",
            rotary=whole,
            more_rotary=(local,),
            norm=_norm(config),
            dropout=config.rate("embedding_dropout", 0.0),
        )

    def stack(self, config: HfConfig) -> TransformerConfig:
        width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
        bias = config.flag("attention_bias", default=False)
        alike = TransformerConfig(
            width=width,
            layers=config.whole("num_hidden_layers"),
            attention=AttentionConfig(width=width, heads=heads, bias=bias, out_bias=bias),
            mlp=MlpConfig(
                hidden=config.whole("intermediate_size"),
                activation=config.choice("hidden_act", ACTIVATIONS, "gelu"),
                bias=config.flag("mlp_bias", default=False),
            ),
            norm=_norm(config),
            first_norm=False,
        )
        every = config.whole("global_attn_every_n_layers", 3)
        # half of the window is on either side of a position
        sliding = {"window": config.whole("local_attention") // 2 + 1, "rotary": 1}
        kinds = layer_kinds(config, lambda layer: SLIDING if layer % every else FULL)
        return stack_of(alike, [sliding if kind == SLIDING else {} for kind in kinds])

    def make_head(self, config: HfConfig, name: str, labels: tuple[str, ...]) -> HeadConfig | None:
        head = super().make_head(config, name, labels)
        if head is None or head.pooling == "none":
            plain = name != "masked" or config.flag("decoder_bias", default=True)
            return head and replace(head, bias=plain)
        return replace(head, pooling=config.choice("classifier_pooling", _POOLINGS, "cls"))

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, head, rotaries = config.encoder, config.head, config.embedding.rotaries
        written = super().write(config)
        if not isinstance(stack, TransformerConfig) or len(rotaries) != len(_BASES):
            raise CheckpointError("expected layers of a transformer, and two rotary embeddings")
        windows = [stack.layer(i).attention.window for i in range(stack.layers)]
        window = max((w for w in windows if w is not None), default=65)
        written |= {
            "norm_bias": stack.norm.bias,
            "attention_bias": stack.attention.bias,
            "mlp_bias": stack.mlp.bias,
            "local_attention": max(1, 2 * (window - 1)),
            "layer_types": kinds_of(stack),
            "rope_parameters": {
                kind: _written_rope(rotary, config.context)
                for (kind, *_), rotary in zip(_BASES, rotaries, strict=True)
            },
            "embedding_dropout": config.embedding.dropout,
        }
        if head is not None and head.transform is not None:
            names = {ours: theirs for theirs, ours in _POOLINGS.items()}
            written |= {
                "decoder_bias": head.bias,
                "classifier_bias": head.transform.bias,
                "classifier_activation": name_of_activation(head.transform.activation),
                "classifier_pooling": names.get(head.pooling, "cls"),
            }
        return written


def _rotary(config: HfConfig, kind: str, key: str, usual: float) -> RotaryConfig:
    """The RoPE of one kind of layer, as transformers 5 has it or 4."""
    both, base = config.part("rope_parameters"), config.number(key, usual)
    part = both.part(kind) if both is not None else None
    table = {"rope_type": "default", "rope_theta": base, **(part.values if part else {})}
    head_dim = config.whole("hidden_size") // config.whole("num_attention_heads")
    holder = HfConfig({"rope_parameters": table, "rope_theta": base}, config.where)
    return read_rope(holder, head_dim, config.whole("max_position_embeddings"))


def _written_rope(rotary: RotaryConfig, context: int) -> dict[str, Any]:
    table = write_rope(rotary, context)["rope_scaling"] or {"rope_type": "default"}
    return {**table, "rope_theta": rotary.theta}
