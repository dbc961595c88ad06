"""RoBERTa (arXiv:1907.11692) and its kin: BERT with positions counted after the id of padding.

``max_position_embeddings`` counts the rows of the table, of which those up to ``pad_token_id`` are
of no position; so 514 rows are 512 positions.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, final

from lmkernel.families.encoder import ENCODER_KEYS, EncoderFamily
from lmkernel.families.encoder_heads import BODY, HeadKind, dense, dense_and_norm

if TYPE_CHECKING:
    from lmkernel.families.encoder_heads import Heads

__all__ = ["Camembert", "Roberta", "XlmRoberta"]


def _heads(name: str) -> Heads:
    pooler = f"{BODY}pooler.dense"
    return MappingProxyType(
        {
            "pooled": HeadKind(architecture=f"{name}Model", parts={pooler: "head"}),
            "masked": HeadKind(
                architecture=f"{name}ForMaskedLM",
                parts={
                    "lm_head.dense": "head.transform",
                    "lm_head.layer_norm": "head.norm",
                    "lm_head.decoder": "head",
                },
                transform=dense_and_norm("gelu"),
                biases=("lm_head.bias", "lm_head.decoder.bias"),
            ),
            "classes": HeadKind(
                architecture=f"{name}ForSequenceClassification",
                parts={"classifier.dense": "head.transform", "classifier.out_proj": "head"},
                transform=dense("tanh"),
            ),
            "tokens": HeadKind(
                architecture=f"{name}ForTokenClassification", parts={"classifier": "head"}
            ),
            "span": HeadKind(
                architecture=f"{name}ForQuestionAnswering", parts={"qa_outputs": "head"}
            ),
            "choice": HeadKind(
                architecture=f"{name}ForMultipleChoice",
                parts={pooler: "head.transform", "classifier": "head"},
                transform=dense("tanh"),
                rate="hidden_dropout_prob",
            ),
        }
    )


class _Roberta(EncoderFamily):
    """What all of them share."""

    prefix = "roberta."
    padded = True
    specials: ClassVar = MappingProxyType(
        {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
    )
    keys = ENCODER_KEYS.but(pad_token_id=1, nullable=("pad_token_id",))


@final
class Roberta(_Roberta):
    """``model_type`` ``"roberta"``."""

    model_type = "roberta"
    kinds = _heads("Roberta")
    keys = _Roberta.keys.but(vocab_size=50265)


@final
class XlmRoberta(_Roberta):
    """XLM-R (arXiv:1911.02116), ``model_type`` ``"xlm-roberta"``."""

    model_type = "xlm-roberta"
    kinds = _heads("XLMRoberta")


@final
class Camembert(_Roberta):
    """CamemBERT (arXiv:1911.03894), ``model_type`` ``"camembert"``."""

    model_type = "camembert"
    kinds = _heads("Camembert")
