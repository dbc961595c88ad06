"""ELECTRA (arXiv:2003.10555): BERT whose tables may be narrower, as generator or discriminator."""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar, final

from lmkernel.families.encoder import ENCODER_KEYS, EncoderFamily
from lmkernel.families.encoder_heads import HeadKind, dense, dense_and_norm

__all__ = ["Electra"]


@final
class Electra(EncoderFamily):
    """``model_type`` ``"electra"``."""

    model_type = "electra"
    prefix = "electra."
    kinds: ClassVar = MappingProxyType(
        {
            "vectors": HeadKind(architecture="ElectraModel", parts={}),
            "masked": HeadKind(
                architecture="ElectraForMaskedLM",
                parts={
                    "generator_predictions.dense": "head.transform",
                    "generator_predictions.LayerNorm": "head.norm",
                    "generator_lm_head": "head",
                },
                transform=dense_and_norm("gelu"),
            ),
            "detection": HeadKind(
                architecture="ElectraForPreTraining",
                parts={
                    "discriminator_predictions.dense": "head.transform",
                    "discriminator_predictions.dense_prediction": "head",
                },
                transform=dense(""),
            ),
            "classes": HeadKind(
                architecture="ElectraForSequenceClassification",
                parts={"classifier.dense": "head.transform", "classifier.out_proj": "head"},
                transform=dense("gelu"),
            ),
            "tokens": HeadKind(
                architecture="ElectraForTokenClassification", parts={"classifier": "head"}
            ),
            "span": HeadKind(
                architecture="ElectraForQuestionAnswering", parts={"qa_outputs": "head"}
            ),
            "choice": HeadKind(
                architecture="ElectraForMultipleChoice",
                parts={"sequence_summary.summary": "head.transform", "classifier": "head"},
                transform=dense("gelu"),
                rate="summary_last_dropout",
            ),
        }
    )
    projection = "embeddings_project"
    keys = ENCODER_KEYS.but(
        embedding_size=128,
        hidden_size=256,
        num_attention_heads=4,
        intermediate_size=1024,
        summary_last_dropout=0.1,
        refused={"summary_type": "first", "summary_use_proj": True, "summary_activation": "gelu"},
    )
