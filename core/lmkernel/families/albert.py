"""ALBERT (arXiv:1909.11942): BERT whose layers share weights, and whose tables are narrow."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, final

from lmkernel.families.encoder import ENCODER_KEYS, EncoderFamily
from lmkernel.families.encoder_heads import BODY, HeadKind, dense, dense_and_norm

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig, TransformerConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Albert"]

_POOLER = f"{BODY}pooler"
_POOLED = MappingProxyType({_POOLER: "head.transform", "classifier": "head"})
_MOST = 10_000  # layers, of which no tensor says how many there are


@final
class Albert(EncoderFamily):
    """``model_type`` ``"albert"``; ``AlbertForPreTraining`` is read without its order head."""

    model_type = "albert"
    prefix = "albert."
    kinds: ClassVar = MappingProxyType(
        {
            "pooled": HeadKind(architecture="AlbertModel", parts={_POOLER: "head"}),
            "masked": HeadKind(
                architecture="AlbertForMaskedLM",
                parts={
                    "predictions.dense": "head.transform",
                    "predictions.LayerNorm": "head.norm",
                    "predictions.decoder": "head",
                },
                transform=dense_and_norm(""),
                biases=("predictions.bias", "predictions.decoder.bias"),
                also=("AlbertForPreTraining",),
            ),
            "classes": HeadKind(
                architecture="AlbertForSequenceClassification",
                parts=_POOLED,
                transform=dense("tanh"),
            ),
            "tokens": HeadKind(
                architecture="AlbertForTokenClassification", parts={"classifier": "head"}
            ),
            "span": HeadKind(
                architecture="AlbertForQuestionAnswering", parts={"qa_outputs": "head"}
            ),
            "choice": HeadKind(
                architecture="AlbertForMultipleChoice", parts=_POOLED, transform=dense("tanh")
            ),
        }
    )
    layer = "encoder.albert_layer_groups.{i}.albert_layers.0."
    products: ClassVar = MappingProxyType(
        {
            "attention.query": "attention.q",
            "attention.key": "attention.k",
            "attention.value": "attention.v",
            "attention.dense": "attention.o",
            "ffn": "mlp.up",
            "ffn_output": "mlp.down",
        }
    )
    norms: ClassVar = MappingProxyType(
        {"attention.LayerNorm": "attention_norm", "full_layer_layer_norm": "mlp_norm"}
    )
    projection = "encoder.embedding_hidden_mapping_in"
    own: ClassVar = MappingProxyType({"classifier_dropout": "classifier_dropout_prob"})
    unused = ("*embeddings.position_ids", "sop_classifier.*")
    keys = ENCODER_KEYS.but(
        vocab_size=30000,
        embedding_size=128,
        hidden_size=4096,
        num_hidden_groups=1,
        num_attention_heads=64,
        intermediate_size=16384,
        hidden_act="gelu_new",
        hidden_dropout_prob=0.0,
        classifier_dropout_prob=0.1,
        refused={"inner_group_num": 1},
        inert=(
            *("classifier_dropout", "net_structure_type", "num_memory_blocks", "gap_size"),
            *("down_scale_factor", "layers_to_keep"),
        ),
    )

    def inner(self, config: HfConfig) -> int:
        return config.whole("embedding_size")

    def stack(self, config: HfConfig) -> TransformerConfig:
        layers, groups = config.whole("num_hidden_layers"), config.whole("num_hidden_groups")
        if layers > _MOST:
            raise config.error("num_hidden_layers", f"at most {_MOST}", layers)
        if layers % groups:
            expected = f"a divisor of num_hidden_layers={layers}"
            raise config.error("num_hidden_groups", expected, groups)
        return replace(super().stack(config), sets=groups)

    def write(self, config: ModelConfig) -> dict[str, Any]:
        groups = getattr(config.encoder, "sets", 0)
        layers = getattr(config.encoder, "layers", 0)
        return {**super().write(config), "num_hidden_groups": groups or layers}
