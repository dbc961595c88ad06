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
from lmkernel.families.family import ACTIVATIONS
from lmkernel.families.names import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.family import HfConfig, MakeHead

__all__ = [
    "HEADS",
    "HEAD_NAMES",
    "MASKED",
    "POOLED",
    "architecture_of",
    "head_rules",
    "norm_of",
    "norm_rules",
    "read_head",
    "write_head",
]

POOLED, MASKED = "BertModel", "BertForMaskedLM"
_CLASSIFIER = "BertForSequenceClassification"
HEAD_NAMES = ("pooler.*", "bert.pooler.*", "cls.*", "classifier.*")
"""Patterns of the names of all heads: a checkpoint may hold more than the one that is wanted."""


def norm_of(config: HfConfig) -> NormConfig:
    """The normalisation of all its layers."""
    return NormConfig(kind="layer", eps=config.number("layer_norm_eps", 1e-12))


def read_head(config: HfConfig) -> HeadConfig:
    """The head that ``architectures`` names; the pooled vector if it names none."""
    [name, *_] = config.names("architectures") or (POOLED,)
    if name not in _READ:
        raise config.error("architectures", "one of " + ", ".join(_READ), name)
    return _READ[name](config, config.labels())


def _pooled_head(config: HfConfig, labels: tuple[str, ...]) -> HeadConfig:
    del labels
    width = config.whole("hidden_size", 768)
    return HeadConfig(width=width, size=width, bias=True, activation="tanh", pooling="first")


def _masked_head(config: HfConfig, labels: tuple[str, ...]) -> HeadConfig:
    del labels
    activation = config.choice("hidden_act", ACTIVATIONS, "gelu")
    return HeadConfig(
        width=config.whole("hidden_size", 768),
        size=config.whole("vocab_size", 30522),
        tied=config.flag("tie_word_embeddings", default=True),
        bias=True,
        transform=HeadTransformConfig(activation=activation, norm=norm_of(config)),
    )


def _classifier_head(config: HfConfig, labels: tuple[str, ...]) -> HeadConfig:
    size = len(labels) or config.whole("num_labels", 2)
    return HeadConfig(
        width=config.whole("hidden_size", 768),
        size=size,
        bias=True,
        pooling="first",
        transform=HeadTransformConfig(activation="tanh"),
        dropout=config.rate("classifier_dropout", config.rate("hidden_dropout_prob", 0.1)),
        labels=() if labels == _plain_labels(size) else labels,
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
    {"masked": _masked_head, "classification": _classifier_head}
)
"""The head of each objective."""


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
        return _pair("pooler.dense", "head", "bert.pooler.dense")
    if architecture == _CLASSIFIER:
        pooler = _pair("bert.pooler.dense", "head.transform", "pooler.dense")
        return (*pooler, *_pair("classifier", "head"))
    # an output of its own has a bias of its own; a tied one shares that of the predictions
    biases = ["cls.predictions.bias", "cls.predictions.decoder.bias"]
    first, second = biases if head.tied else reversed(biases)
    return (
        *_pair("cls.predictions.transform.dense", "head.transform"),
        *norm_rules(["cls.predictions.transform.LayerNorm"], "head.norm"),
        Rule("cls.predictions.decoder.weight", "head.weight"),
        Rule(first, "head.bias", also=(second,)),
    )


def _pair(theirs: str, ours: str, *also: str) -> tuple[Rule, Rule]:
    """Weight and bias."""
    weight, bias = (
        Rule(f"{theirs}.{leaf}", f"{ours}.{leaf}", also=tuple(f"{name}.{leaf}" for name in also))
        for leaf in ("weight", "bias")
    )
    return weight, bias


def norm_rules(theirs: list[str], ours: str) -> tuple[Rule, Rule]:
    """Weight and bias of a normalisation, which old checkpoints call gamma and beta."""
    leaves = {"weight": ("weight", "gamma"), "bias": ("bias", "beta")}
    names = {
        leaf: [f"{name}.{word}" for name in theirs for word in words]
        for leaf, words in leaves.items()
    }
    weight, bias = (
        Rule(first, f"{ours}.{leaf}", also=tuple(more)) for leaf, [first, *more] in names.items()
    )
    return weight, bias
