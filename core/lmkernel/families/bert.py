"""The BERT family (arXiv:1810.04805): post-norm encoder with segments."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel.families.encoder import EncoderFamily
from lmkernel.families.encoder_heads import BODY, HeadKind, dense, dense_and_norm

if TYPE_CHECKING:
    from lmkernel.families.encoder_heads import Heads

__all__ = ["Bert"]

_POOLER = f"{BODY}pooler.dense"
_POOLED = MappingProxyType({_POOLER: "head.transform", "classifier": "head"})
_HEADS: Heads = MappingProxyType(
    {
        "pooled": HeadKind(architecture="BertModel", parts={_POOLER: "head"}),
        "masked": HeadKind(
            architecture="BertForMaskedLM",
            parts={
                "cls.predictions.transform.dense": "head.transform",
                "cls.predictions.transform.LayerNorm": "head.norm",
                "cls.predictions.decoder": "head",
            },
            transform=dense_and_norm(""),
            biases=("cls.predictions.bias", "cls.predictions.decoder.bias"),
            also=("BertForPreTraining",),
        ),
        "classes": HeadKind(
            architecture="BertForSequenceClassification", parts=_POOLED, transform=dense("tanh")
        ),
        "tokens": HeadKind(architecture="BertForTokenClassification", parts={"classifier": "head"}),
        "span": HeadKind(architecture="BertForQuestionAnswering", parts={"qa_outputs": "head"}),
        "choice": HeadKind(
            architecture="BertForMultipleChoice", parts=_POOLED, transform=dense("tanh")
        ),
    }
)
"""The heads of BERT; ``BertForPreTraining`` is read without its next-sentence head."""


@final
class Bert(EncoderFamily):
    """``model_type`` ``"bert"``."""

    model_type = "bert"
    prefix = "bert."
    kinds = _HEADS
    unused = ("*embeddings.position_ids", "cls.seq_relationship.*")
