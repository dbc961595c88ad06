"""The BERT family (arXiv:1810.04805): post-norm encoder with segments, and one of three heads.

Dropout: ``hidden_dropout_prob`` and ``classifier_dropout`` are read and written. Attention weights
are not dropped here: ``attention_probs_dropout_prob`` is passed over in reading, and written equal
to ``hidden_dropout_prob``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    InitConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    TransformerConfig,
)
from lmkernel.errors import CheckpointError
from lmkernel.families.bert_heads import (
    HEADS,
    KEYS,
    MASKED,
    POOLED,
    architecture_of,
    head_rules,
    ignored_heads,
    norm_of,
    norm_rules,
    read_head,
    write_head,
)
from lmkernel.families.family import ACTIVATIONS, Family, HfConfig, name_of_activation
from lmkernel.families.names import Rule, with_optional_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel.config import HeadConfig
    from lmkernel.families.family import MakeHead
    from lmkernel.families.sizes import Sizes

__all__ = ["Bert"]

_TABLES: Mapping[str, str] = MappingProxyType(
    {"word": "tokens", "position": "positions", "token_type": "segments"}
)
_PRODUCTS: Mapping[str, str] = MappingProxyType(
    {
        "attention.self.query": "attention.q",
        "attention.self.key": "attention.k",
        "attention.self.value": "attention.v",
        "attention.output.dense": "attention.o",
        "intermediate.dense": "mlp.up",
        "output.dense": "mlp.down",
    }
)
_NORMS: Mapping[str, str] = MappingProxyType(
    {
        "embeddings.LayerNorm": "embedding.norm",
        "encoder.layer.{i}.attention.output.LayerNorm": "encoder.layers.{i}.attention_norm",
        "encoder.layer.{i}.output.LayerNorm": "encoder.layers.{i}.mlp_norm",
    }
)


@final
class Bert(Family):
    """``model_type`` ``"bert"``."""

    keys = KEYS

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        width, context = config.whole("hidden_size"), config.whole(_CONTEXT)
        norm = norm_of(config)
        dropout = config.rate("hidden_dropout_prob", 0.1)
        return ModelConfig(
            embedding=EmbeddingConfig(
                width=width,
                vocab=config.whole("vocab_size"),
                positions="learned",
                context=context,
                segments=config.whole("type_vocab_size"),
                norm=norm,
                dropout=dropout,
            ),
            encoder=_encoder(config, width, norm, dropout),
            head=read_head(config),
            context=context,
            init=InitConfig(scale=config.number("initializer_range")),
        )

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, head = config.encoder, _head(config)
        if not isinstance(stack, TransformerConfig) or config.decoder is not None:
            raise CheckpointError("expected an encoder of transformer layers, and no decoder")
        return {
            "model_type": "bert",
            **write_head(head),
            "vocab_size": config.embedding.vocab,
            "hidden_size": stack.width,
            "num_hidden_layers": stack.layers,
            "num_attention_heads": stack.attention.heads,
            "intermediate_size": stack.mlp.hidden,
            "hidden_act": name_of_activation(stack.mlp.activation),
            "hidden_dropout_prob": stack.dropout,
            "attention_probs_dropout_prob": stack.dropout,
            _CONTEXT: config.context,
            "type_vocab_size": config.embedding.segments,
            "layer_norm_eps": stack.norm.eps,
            "tie_word_embeddings": head.tied or head.pooling != "none",
            "initializer_range": config.init.scale if config.init else 0.02,
        }

    def heads(self) -> Mapping[str, MakeHead]:
        return HEADS

    def new(self, sizes: Sizes) -> dict[str, Any]:
        return {
            "hidden_size": sizes.width,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "intermediate_size": sizes.inner,
            _CONTEXT: sizes.context,
            "vocab_size": sizes.vocab,
            "type_vocab_size": 2,
            "hidden_dropout_prob": sizes.dropout,
            "attention_probs_dropout_prob": 0.0,
            "architectures": [MASKED],
        }

    def special_tokens(self) -> dict[str, str]:
        return {
            f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")
        }

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        head = _head(config)
        prefix = "" if architecture_of(head) == POOLED else "bert."
        return (*with_optional_prefix("bert.", _body(prefix)), *head_rules(head))

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        return ("*embeddings.position_ids", *ignored_heads(_head(config)))


_CONTEXT = "max_position_embeddings"


def _head(config: ModelConfig) -> HeadConfig:
    if config.head is None:
        raise CheckpointError("expected a head")
    return config.head


def _encoder(config: HfConfig, width: int, norm: NormConfig, dropout: float) -> TransformerConfig:
    return TransformerConfig(
        width=width,
        layers=config.whole("num_hidden_layers"),
        attention=AttentionConfig(
            width=width, heads=config.whole("num_attention_heads"), bias=True, out_bias=True
        ),
        mlp=MlpConfig(
            hidden=config.whole("intermediate_size"),
            activation=config.choice("hidden_act", ACTIVATIONS, "gelu"),
            gated=False,
            bias=True,
        ),
        norm=norm,
        pre_norm=False,
        final_norm=False,
        dropout=dropout,
    )


def _body(prefix: str) -> Iterator[Rule]:
    """All but the head; checkpoints of the bare model have no prefix, all others have one."""
    for theirs, ours in _TABLES.items():
        name = f"{prefix}embeddings.{theirs}_embeddings.weight"
        yield Rule(name, f"embedding.{ours}.weight")
    for theirs, ours in _PRODUCTS.items():
        for leaf in ("weight", "bias"):
            name = f"{prefix}encoder.layer.{{i}}.{theirs}.{leaf}"
            yield Rule(name, f"encoder.layers.{{i}}.{ours}.{leaf}")
    for theirs, ours in _NORMS.items():
        yield from norm_rules(prefix + theirs, ours)
