"""DeBERTa v2 and v3 (arXiv:2006.03654, arXiv:2111.09543): BERT that scores distances apart."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, final

from lmkernel.config import DisentangledConfig, HeadTransformConfig, TransformerConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.encoder import ENCODER_KEYS, EncoderFamily
from lmkernel.families.encoder_heads import HeadKind, dense_and_norm, norm_of, norm_rules
from lmkernel.families.family import ACTIVATIONS, name_of_activation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.config import EmbeddingConfig, ModelConfig
    from lmkernel.families.hf_config import HfConfig
    from lmkernel.families.names import Rule

__all__ = ["Deberta"]

_POOLED = MappingProxyType({"pooler.dense": "head.transform", "classifier": "head"})
_QUERIES, _KEYS = "c2p", "p2c"


def _pooler(config: HfConfig) -> HeadTransformConfig:
    return HeadTransformConfig(activation=config.choice("pooler_hidden_act", ACTIVATIONS, "gelu"))


@final
class Deberta(EncoderFamily):
    """``model_type`` ``"deberta-v2"``, which v3 has too."""

    model_type = "deberta-v2"
    prefix = "deberta."
    kinds: ClassVar = MappingProxyType(
        {
            "vectors": HeadKind(architecture="DebertaV2Model", parts={}),
            "masked": HeadKind(
                architecture="DebertaV2ForMaskedLM",
                parts={
                    "cls.predictions.transform.dense": "head.transform",
                    "cls.predictions.transform.LayerNorm": "head.norm",
                    "cls.predictions.decoder": "head",
                },
                transform=dense_and_norm(""),
                biases=("cls.predictions.bias", "cls.predictions.decoder.bias"),
            ),
            "classes": HeadKind(
                architecture="DebertaV2ForSequenceClassification",
                parts=_POOLED,
                transform=_pooler,
                rate="cls_dropout",
            ),
            "tokens": HeadKind(
                architecture="DebertaV2ForTokenClassification",
                parts={"classifier": "head"},
                rate="hidden_dropout_prob",
            ),
            "span": HeadKind(
                architecture="DebertaV2ForQuestionAnswering", parts={"qa_outputs": "head"}
            ),
            "choice": HeadKind(
                architecture="DebertaV2ForMultipleChoice",
                parts=_POOLED,
                transform=_pooler,
                rate="cls_dropout",
            ),
        }
    )
    tables: ClassVar = MappingProxyType(
        {**EncoderFamily.tables, "encoder.rel_embeddings": "relative"}
    )
    products: ClassVar = MappingProxyType(
        {
            "attention.self.query_proj": "attention.q",
            "attention.self.key_proj": "attention.k",
            "attention.self.value_proj": "attention.v",
            "attention.self.pos_key_proj": "attention.distance_k",
            "attention.self.pos_query_proj": "attention.distance_q",
            "attention.output.dense": "attention.o",
            "intermediate.dense": "mlp.up",
            "output.dense": "mlp.down",
        }
    )
    unused = ("*embeddings.position_ids", "lm_predictions.*", "mask_predictions.*")
    fewest_segments = 0
    keys = ENCODER_KEYS.but(
        vocab_size=128100,
        hidden_size=1536,
        num_hidden_layers=24,
        num_attention_heads=24,
        intermediate_size=6144,
        type_vocab_size=0,
        layer_norm_eps=1e-7,
        relative_attention=False,
        max_relative_positions=-1,
        position_biased_input=True,
        pos_att_type=None,
        pooler_hidden_act="gelu",
        # what the class takes beside its own
        position_buckets=None,
        share_att_key=None,
        norm_rel_ebd=None,
        cls_dropout=None,
        pooler_hidden_size=None,
        embedding_size=None,
        attention_head_size=None,
        refused={"legacy": True, "conv_kernel_size": 0},
        inert=("classifier_dropout", "pooler_dropout", "conv_act", "conv_groups"),
    )

    def complete(self, config: HfConfig) -> HfConfig:
        config = super().complete(config)
        width = config.whole("hidden_size")
        for key in ("pooler_hidden_size", "embedding_size"):
            if config.whole(key, width) != width:
                raise config.error(key, f"hidden_size={width}", config.values[key])
        return config

    def embedding(self, config: HfConfig) -> EmbeddingConfig:
        biased = config.flag("position_biased_input", default=True)
        return replace(
            super().embedding(config),
            positions="learned" if biased else "none",
            relative=_distances(config),
        )

    def stack(self, config: HfConfig) -> TransformerConfig:
        stack, distances = super().stack(config), _distances(config)
        head_dim = config.whole("attention_head_size", stack.attention.head_dim)
        attention = replace(
            stack.attention,
            kind="multi_head" if distances is None else "disentangled",
            relative=distances,
            head_dim=head_dim,
            scale=(head_dim * (1 + len(_terms(config)))) ** -0.5,
        )
        return replace(stack, attention=attention)

    def body(self, prefix: str) -> Iterator[Rule]:
        yield from super().body(prefix)
        yield from norm_rules(f"{prefix}encoder.LayerNorm", "embedding.relative_norm")

    def write(self, config: ModelConfig) -> dict[str, Any]:
        written = super().write(config)
        embedding, head, stack = config.embedding, config.head, config.encoder
        if not isinstance(stack, TransformerConfig):
            raise CheckpointError("expected an encoder of transformer layers")
        attention, distances = stack.attention, embedding.relative
        # without distances, what they would have scored still makes the scores smaller
        terms = round(1 / (attention.scale**2 * attention.head_dim)) - 1
        written |= {
            "position_biased_input": embedding.positions == "learned",
            "attention_head_size": attention.head_dim,
            "relative_attention": distances is not None,
            "pos_att_type": [_QUERIES, _KEYS][:terms],
        }
        if isinstance(distances, DisentangledConfig):
            asked = {_KEYS: distances.keys, _QUERIES: distances.queries}
            written |= {
                "pos_att_type": [term for term, there in asked.items() if there],
                "share_att_key": not distances.own,
                "norm_rel_ebd": "none" if distances.norm is None else "layer_norm",
                "position_buckets": distances.span if distances.context else -1,
                "max_relative_positions": distances.context or distances.span,
            }
        if head is not None and head.transform is not None and head.pooling != "none":
            written["pooler_hidden_act"] = name_of_activation(head.transform.activation)
        return written


def _terms(config: HfConfig) -> set[str]:
    """Which of queries and keys score distances."""
    asked = config.values.get("pos_att_type") or []
    named = asked.lower().split("|") if isinstance(asked, str) else asked
    terms = {str(term).strip() for term in named} if isinstance(named, list) else {"?"}
    if not terms <= {_QUERIES, _KEYS}:
        raise config.error("pos_att_type", f"{_QUERIES}, {_KEYS} or both", asked)
    return terms


def _distances(config: HfConfig) -> DisentangledConfig | None:
    terms = _terms(config)
    if not config.flag("relative_attention", default=False):
        return None
    if not terms:
        raise config.error("pos_att_type", f"{_QUERIES}, {_KEYS} or both", None)
    most = config.whole("max_relative_positions", -1, least=-1)
    context = most if most > 0 else config.whole("max_position_embeddings")
    buckets = config.whole("position_buckets", -1, least=-1)
    norms = str(config.values.get("norm_rel_ebd") or "none").lower().split("|")
    return DisentangledConfig(
        width=config.whole("hidden_size"),
        span=buckets if buckets > 0 else context,
        context=context if buckets > 0 else 0,
        queries=_QUERIES in terms,
        keys=_KEYS in terms,
        own=not config.flag("share_att_key", default=False),
        norm=norm_of(config) if "layer_norm" in {name.strip() for name in norms} else None,
    )
