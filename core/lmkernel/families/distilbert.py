"""DistilBERT (arXiv:1910.01108): BERT without segments and without a pooler, with other names."""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar, final

from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.encoder import EncoderFamily
from lmkernel.families.encoder_heads import HeadKind, dense, dense_and_norm

__all__ = ["DistilBert"]

_CLASSIFIER = MappingProxyType({"pre_classifier": "head.transform", "classifier": "head"})


@final
class DistilBert(EncoderFamily):
    """``model_type`` ``"distilbert"``."""

    model_type = "distilbert"
    prefix = "distilbert."
    kinds: ClassVar = MappingProxyType(
        {
            "vectors": HeadKind(architecture="DistilBertModel", parts={}),
            "masked": HeadKind(
                architecture="DistilBertForMaskedLM",
                parts={
                    "vocab_transform": "head.transform",
                    "vocab_layer_norm": "head.norm",
                    "vocab_projector": "head",
                },
                transform=dense_and_norm(""),
            ),
            "classes": HeadKind(
                architecture="DistilBertForSequenceClassification",
                parts=_CLASSIFIER,
                transform=dense("relu"),
            ),
            "tokens": HeadKind(
                architecture="DistilBertForTokenClassification",
                parts={"classifier": "head"},
                rate="hidden_dropout_prob",
            ),
            "span": HeadKind(
                architecture="DistilBertForQuestionAnswering", parts={"qa_outputs": "head"}
            ),
            "choice": HeadKind(
                architecture="DistilBertForMultipleChoice",
                parts=_CLASSIFIER,
                transform=dense("relu"),
            ),
        }
    )
    layer = "transformer.layer.{i}."
    products: ClassVar = MappingProxyType(
        {
            "attention.q_lin": "attention.q",
            "attention.k_lin": "attention.k",
            "attention.v_lin": "attention.v",
            "attention.out_lin": "attention.o",
            "ffn.lin1": "mlp.up",
            "ffn.lin2": "mlp.down",
        }
    )
    norms: ClassVar = MappingProxyType(
        {"sa_layer_norm": "attention_norm", "output_layer_norm": "mlp_norm"}
    )
    own: ClassVar = MappingProxyType(
        {
            "hidden_size": "dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
            "hidden_act": "activation",
            "hidden_dropout_prob": "dropout",
            "attention_probs_dropout_prob": "attention_dropout",
            "classifier_dropout": "seq_classif_dropout",
        }
    )
    fixed: ClassVar = MappingProxyType({"layer_norm_eps": 1e-12, "type_vocab_size": 0})
    keys = ConfigKeys(
        read={
            "architectures": None,
            "vocab_size": 30522,
            "dim": 768,
            "n_layers": 6,
            "n_heads": 12,
            "hidden_dim": 3072,
            "activation": "gelu",
            "dropout": 0.1,
            "max_position_embeddings": 512,
            "initializer_range": 0.02,
            "seq_classif_dropout": 0.2,
            "tie_word_embeddings": True,
            "id2label": None,
            "num_labels": 2,
        },
        # a sinusoidal table is kept in the file like a learned one
        inert=key_set("qa_dropout attention_dropout sinusoidal_pos_embds tie_weights_ is_causal"),
        aliases={
            "hidden_size": "dim",
            "num_attention_heads": "n_heads",
            "num_hidden_layers": "n_layers",
        },
    )
