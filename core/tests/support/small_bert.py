"""Small BERTs with distinct extents, by their Hugging Face configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.families.bert import Bert
from lmkernel.families.family import HfConfig

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig

BERT: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": 61,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "hidden_dropout_prob": 0.3,
    "layer_norm_eps": 1e-6,
}
HEADS = ("BertModel", "BertForMaskedLM", "BertForSequenceClassification")


def small_bert(architecture: str = "BertForMaskedLM", **changes: Any) -> ModelConfig:
    """The configuration with one of the three heads."""
    return Bert().read(HfConfig({**BERT, "architectures": [architecture], **changes}))


__all__ = ["BERT", "HEADS", "small_bert"]
