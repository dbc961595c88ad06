"""The ``config.json`` of a model to be trained: a new one of some family, or one with another head.

Constraint: a model is described in the ecosystem's words from the first day, so that what is
written opens there.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmkernel.training.run.settings import ModelSettings

__all__ = ["NEW_FAMILIES", "check_new", "check_objective", "new_document", "with_head"]

Document = dict[str, Any]


def _gpt2(m: ModelSettings, vocab: int) -> Document:
    return {
        "n_embd": m.width,
        "n_layer": m.layers,
        "n_head": m.heads,
        "n_inner": m.hidden or 4 * m.width,
        "n_positions": m.context,
        "vocab_size": vocab,
        "resid_pdrop": m.dropout,
        "embd_pdrop": m.dropout,
        "attn_pdrop": 0.0,
    }


def _gated(m: ModelSettings, vocab: int) -> Document:
    return {
        "hidden_size": m.width,
        "num_hidden_layers": m.layers,
        "num_attention_heads": m.heads,
        "num_key_value_heads": m.heads,
        "intermediate_size": m.hidden or 4 * m.width,
        "max_position_embeddings": m.context,
        "vocab_size": vocab,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
    }


def _qwen3(m: ModelSettings, vocab: int) -> Document:
    return {**_gated(m, vocab), "head_dim": max(1, m.width // m.heads)}


def _bert(m: ModelSettings, vocab: int) -> Document:
    return {
        "hidden_size": m.width,
        "num_hidden_layers": m.layers,
        "num_attention_heads": m.heads,
        "intermediate_size": m.hidden or 4 * m.width,
        "max_position_embeddings": m.context,
        "vocab_size": vocab,
        "type_vocab_size": 2,
        "hidden_dropout_prob": m.dropout,
        "attention_probs_dropout_prob": 0.0,
        "architectures": ["BertForMaskedLM"],
    }


NEW_FAMILIES: Mapping[str, Callable[[ModelSettings, int], Document]] = MappingProxyType(
    {
        "gpt2": _gpt2,
        "llama": _gated,
        "mistral": _gated,
        "qwen2": _gated,
        "qwen3": _qwen3,
        "bert": _bert,
    }
)
"""The families of which a new model can be described by its sizes."""


def new_document(settings: ModelSettings, vocab: int) -> Document:
    """A new model's configuration.

    Raises:
        UnknownNameError: a family that cannot be described by sizes alone.
    """
    check_new(settings.family)
    return {"model_type": settings.family, **NEW_FAMILIES[settings.family](settings, vocab)}


def check_new(family: str) -> None:
    """Raise `UnknownNameError` if models of a family cannot be described by sizes alone."""
    if family not in NEW_FAMILIES:
        raise UnknownNameError("family of new models", family, NEW_FAMILIES)


def check_objective(family: object, objective: str) -> None:
    """Raise `ConfigError` if models of a family have no head for an objective."""
    encoder = family == "bert"
    if encoder != (objective in ("masked", "classification")):
        fitting = "masked or classification" if encoder else "causal or instruction"
        raise ConfigError(f"objective {objective!r}: a {family} model is trained by {fitting}")


def with_head(document: Mapping[str, Any], objective: str, labels: Sequence[str]) -> Document:
    """The configuration with the head that an objective needs.

    Raises:
        ConfigError: the family has no such head.
    """
    check_objective(document.get("model_type"), objective)
    if objective == "masked":
        return {**document, "architectures": ["BertForMaskedLM"]}
    if objective != "classification":
        return dict(document)
    return {
        **document,
        "architectures": ["BertForSequenceClassification"],
        "num_labels": len(labels),
        "id2label": {str(i): name for i, name in enumerate(labels)},
        "label2id": {name: i for i, name in enumerate(labels)},
    }
