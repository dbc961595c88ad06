"""MPNet (arXiv:2004.09297): BERT without segments, with learned biases by distance."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, final

from lmkernel.config import RelativeConfig
from lmkernel.families.encoder import ENCODER_KEYS, EncoderFamily
from lmkernel.families.encoder_heads import BODY, HeadKind, dense, dense_and_norm

if TYPE_CHECKING:
    from lmkernel.config import EmbeddingConfig, TransformerConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["MpNet"]

_POOLER, _RATE = f"{BODY}pooler.dense", "hidden_dropout_prob"


@final
class MpNet(EncoderFamily):
    """``model_type`` ``"mpnet"``; positions are counted from 2, whatever the id of padding is."""

    model_type = "mpnet"
    prefix = "mpnet."
    kinds: ClassVar = MappingProxyType(
        {
            "pooled": HeadKind(architecture="MPNetModel", parts={_POOLER: "head"}),
            "masked": HeadKind(
                architecture="MPNetForMaskedLM",
                parts={
                    "lm_head.dense": "head.transform",
                    "lm_head.layer_norm": "head.norm",
                    "lm_head.decoder": "head",
                },
                transform=dense_and_norm("gelu"),
                biases=("lm_head.bias", "lm_head.decoder.bias"),
            ),
            "classes": HeadKind(
                architecture="MPNetForSequenceClassification",
                parts={"classifier.dense": "head.transform", "classifier.out_proj": "head"},
                transform=dense("tanh"),
                rate=_RATE,
            ),
            "tokens": HeadKind(
                architecture="MPNetForTokenClassification",
                parts={"classifier": "head"},
                rate=_RATE,
            ),
            "span": HeadKind(
                architecture="MPNetForQuestionAnswering", parts={"qa_outputs": "head"}
            ),
            "choice": HeadKind(
                architecture="MPNetForMultipleChoice",
                parts={_POOLER: "head.transform", "classifier": "head"},
                transform=dense("tanh"),
                rate=_RATE,
            ),
        }
    )
    tables: ClassVar = MappingProxyType(
        {
            "embeddings.word_embeddings": "tokens",
            "embeddings.position_embeddings": "positions",
            "encoder.relative_attention_bias": "relative",
        }
    )
    products: ClassVar = MappingProxyType(
        {
            **{f"attention.attn.{part}": f"attention.{part}" for part in "qkvo"},
            "intermediate.dense": "mlp.up",
            "output.dense": "mlp.down",
        }
    )
    norms: ClassVar = MappingProxyType(
        {"attention.LayerNorm": "attention_norm", "output.LayerNorm": "mlp_norm"}
    )
    padded = True
    fixed: ClassVar = MappingProxyType({"type_vocab_size": 0, "pad_token_id": 1})
    specials: ClassVar = MappingProxyType(
        {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "[UNK]", "mask": "<mask>"}
    )
    keys = ENCODER_KEYS.but(
        vocab_size=30527,
        refused={"relative_attention_num_buckets": 32},
        inert=("classifier_dropout", "type_vocab_size"),
    )

    def embedding(self, config: HfConfig) -> EmbeddingConfig:
        relative = RelativeConfig(heads=config.whole("num_attention_heads"))
        return replace(super().embedding(config), relative=relative)

    def stack(self, config: HfConfig) -> TransformerConfig:
        stack = super().stack(config)
        relative = RelativeConfig(heads=stack.attention.heads)
        return replace(stack, attention=replace(stack.attention, relative=relative))
