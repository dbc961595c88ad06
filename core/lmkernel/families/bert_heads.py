"""The three heads of BERT, which ``architectures`` tells apart: configurations and names.

- ``BertModel``: tanh(W·h + b) of the first position, ``(batch, width)``.
- ``BertForMaskedLM``: norm(act(W·h + b)) through the embedding's table, ``(batch, time, vocab)``;
  ``BertForPreTraining`` is read as one, without its next-sentence head.
- ``BertForSequenceClassification``: the pooled vector through a product, ``(batch, classes)``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.config import HeadConfig, HeadTransformConfig, NormConfig
from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.family import ACTIVATIONS
from lmkernel.families.names import Rule, with_optional_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.family import HfConfig, MakeHead

__all__ = [
    "HEADS",
    "KEYS",
    "MASKED",
    "POOLED",
    "architecture_of",
    "head_rules",
    "ignored_heads",
    "norm_of",
    "norm_rules",
    "read_head",
    "write_head",
]

POOLED, MASKED = "BertModel", "BertForMaskedLM"
_CLASSIFIER = "BertForSequenceClassification"
KEYS = ConfigKeys(
    read={
        "architectures": None,
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "classifier_dropout": None,
        "tie_word_embeddings": True,
        "id2label": None,
        "num_labels": 2,
    },
    refused={
        "is_decoder": False,
        "add_cross_attention": False,
        "position_embedding_type": "absolute",
    },
    # training, and the pooler of models before 2019, of which there was one kind
    inert=key_set(
        "attention_probs_dropout_prob pooler_fc_size pooler_num_attention_heads "
        "pooler_num_fc_layers pooler_size_per_head pooler_type directionality"
    ),
)
"""The keys of BERT."""


def norm_of(config: HfConfig) -> NormConfig:
    """The normalisation of all its layers."""
    return NormConfig(kind="layer", eps=config.number("layer_norm_eps"))


def read_head(config: HfConfig) -> HeadConfig:
    """The head that ``architectures`` names; the pooled vector if it names none."""
    [name, *_] = config.names("architectures") or (POOLED,)
    if name not in _READ:
        raise config.error("architectures", "one of " + ", ".join(_READ), name)
    return _READ[name](config, config.labels())


def _pooled_head(config: HfConfig, labels: tuple[str, ...]) -> HeadConfig:
    del labels
    width = config.whole("hidden_size")
    return HeadConfig(width=width, size=width, bias=True, activation="tanh", pooling="first")


def _masked_head(config: HfConfig, labels: tuple[str, ...]) -> HeadConfig:
    del labels
    activation = config.choice("hidden_act", ACTIVATIONS, "gelu")
    return HeadConfig(
        width=config.whole("hidden_size"),
        size=config.whole("vocab_size"),
        tied=config.flag("tie_word_embeddings", default=True),
        bias=True,
        transform=HeadTransformConfig(activation=activation, norm=norm_of(config)),
    )


def _classifier_head(config: HfConfig, labels: tuple[str, ...]) -> HeadConfig:
    size = len(labels) or config.whole("num_labels")
    return HeadConfig(
        width=config.whole("hidden_size"),
        size=size,
        bias=True,
        pooling="first",
        transform=HeadTransformConfig(activation="tanh"),
        dropout=config.rate("classifier_dropout", config.rate("hidden_dropout_prob", 0.1)),
        labels=() if labels == _plain_labels(len(labels)) else labels,
    )


_READ: Mapping[str, MakeHead] = MappingProxyType(
    {
        POOLED: _pooled_head,
        MASKED: _masked_head,
        "BertForPreTraining": _masked_head,
        _CLASSIFIER: _classifier_head,
    }
)
HEADS: Mapping[str, MakeHead] = MappingProxyType(
    {
        "masked": lambda config, labels: _masked_head(KEYS.complete(config), labels),
        "classification": lambda config, labels: _classifier_head(KEYS.complete(config), labels),
    }
)
"""The head of each objective, for a configuration as it is in its file."""


def _plain_labels(size: int) -> tuple[str, ...]:
    """What classes are called that have no names."""
    return tuple(f"LABEL_{i}" for i in range(size))


def architecture_of(head: HeadConfig) -> str:
    """Which of the three a head is."""
    if head.pooling == "none":
        return MASKED
    return POOLED if head.transform is None else _CLASSIFIER


def write_head(head: HeadConfig) -> dict[str, Any]:
    """What the configuration says of the head alone."""
    written: dict[str, Any] = {"architectures": [architecture_of(head)]}
    if architecture_of(head) == _CLASSIFIER:
        labels = head.labels or _plain_labels(head.size)
        written["classifier_dropout"] = head.dropout
        written["id2label"] = {str(i): label for i, label in enumerate(labels)}
        written["label2id"] = {label: i for i, label in enumerate(labels)}
    return written


def head_rules(head: HeadConfig) -> tuple[Rule, ...]:
    """The names of a head's parameters."""
    architecture = architecture_of(head)
    if architecture == POOLED:
        return with_optional_prefix("bert.", _pair("pooler.dense", "head"))
    if architecture == _CLASSIFIER:
        pooler = with_optional_prefix("bert.", _pair("bert.pooler.dense", "head.transform"))
        return (*pooler, *_pair("classifier", "head"))
    # an output of its own has a bias of its own; a tied one shares that of the predictions
    biases = ["cls.predictions.bias", "cls.predictions.decoder.bias"]
    first, second = biases if head.tied else reversed(biases)
    return (
        *_pair("cls.predictions.transform.dense", "head.transform"),
        *norm_rules("cls.predictions.transform.LayerNorm", "head.norm"),
        Rule("cls.predictions.decoder.weight", "head.weight"),
        Rule(first, "head.bias", also=(second,)),
    )


def ignored_heads(head: HeadConfig) -> tuple[str, ...]:
    """Patterns of the names of the other heads, of which a checkpoint may hold several."""
    own = {MASKED: ("cls.predictions.*",), POOLED: ("*pooler.*",)}
    wanted = own.get(architecture_of(head), ("*pooler.*", "classifier.*"))
    all_heads = ("*pooler.*", "cls.predictions.*", "cls.seq_relationship.*", "classifier.*")
    others = tuple(pattern for pattern in all_heads if pattern not in wanted)
    # the bias of the predictions has no use where the output has its own
    return others if head.tied else (*others, "cls.predictions.bias")


def _pair(theirs: str, ours: str) -> tuple[Rule, Rule]:
    """Weight and bias."""
    return Rule(f"{theirs}.weight", f"{ours}.weight"), Rule(f"{theirs}.bias", f"{ours}.bias")


def norm_rules(theirs: str, ours: str) -> tuple[Rule, Rule]:
    """Weight and bias of a normalisation, which old checkpoints call gamma and beta."""
    weight, bias = (
        Rule(f"{theirs}.{leaf}", f"{ours}.{leaf}", also=(f"{theirs}.{old}",))
        for leaf, old in (("weight", "gamma"), ("bias", "beta"))
    )
    return weight, bias
