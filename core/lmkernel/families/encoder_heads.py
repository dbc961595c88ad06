"""The heads of encoders, which ``architectures`` tells apart: what each family has of them.

By their names here:

- ``"vectors"``: none, the hidden vectors themselves; ``"pooled"``: tanh(W·h + b) of the first;
- ``"masked"``: norm(act(W·h + b)) through the embedding's table, ``(batch, time, vocab)``;
- ``"detection"``: one score for each position, whether its token was exchanged (ELECTRA);
- ``"classes"``: classes of the row, ``(batch, classes)``; ``"choice"``: one score for the row;
- ``"tokens"``: classes of each position; ``"span"``: its scores as start and as end of an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import HeadConfig, HeadTransformConfig, NormConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.family import ACTIVATIONS
from lmkernel.families.names import Rule, with_optional_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lmkernel.families.hf_config import HfConfig

__all__ = [
    "BODY",
    "TRAINED",
    "HeadKind",
    "Heads",
    "dense",
    "dense_and_norm",
    "head_patterns",
    "head_rules",
    "kind_of",
    "leaf_rules",
    "make_head",
    "norm_of",
    "norm_rules",
    "plain_labels",
    "write_head",
    "write_labels",
]

BODY = "{body}"
"""Stands for the prefix that the bare model's names have beside a head."""
TRAINED: Mapping[str, str] = MappingProxyType(
    {
        "masked": "masked",
        "classification": "classes",
        "tagging": "tokens",
        "answers": "span",
        "scores": "classes",
    }
)
"""What models are trained for, each with the head that it needs."""
_NAMED = ("classes", "tokens")
_CLASSES = ("classes", "tokens", "choice")
_ANSWER = ("start", "end")


@final
@dataclass(frozen=True, kw_only=True)
class HeadKind:
    """One head of a family.

    Args:
        architecture: transformers' class.
        parts: the names of its modules, each with ours; a norm's is ``"head.norm"``.
        transform: makes the layer before the last product, where there is one.
        rate: the key of its dropout.
        biases: the names of the last product's bias, with a tied table and with one of its own; or
            none, where it has the product's name.
        also: classes that are read as this one.
    """

    architecture: str
    parts: Mapping[str, str]
    transform: Callable[[HfConfig], HeadTransformConfig] | None = None
    rate: str = "classifier_dropout"
    biases: tuple[str, str] | tuple[()] = ()
    also: tuple[str, ...] = ()


if TYPE_CHECKING:
    Heads = Mapping[str, HeadKind]


def norm_of(config: HfConfig) -> NormConfig:
    """The normalisation of all layers."""
    return NormConfig(kind="layer", eps=config.number("layer_norm_eps"))


def dense(activation: str) -> Callable[[HfConfig], HeadTransformConfig]:
    """Makes act(W·h + b); an empty name is ``hidden_act``."""
    return lambda config: HeadTransformConfig(activation=_activation(config, activation))


def dense_and_norm(activation: str) -> Callable[[HfConfig], HeadTransformConfig]:
    """Makes norm(act(W·h + b)), as wide as the table; an empty name is ``hidden_act``."""

    def make(config: HfConfig) -> HeadTransformConfig:
        width = config.whole("hidden_size")
        inner = config.whole("embedding_size", width)
        return HeadTransformConfig(
            activation=_activation(config, activation),
            norm=norm_of(config),
            width=inner if inner != width else 0,
        )

    return make


def _activation(config: HfConfig, name: str) -> str:
    return name or str(config.choice("hidden_act", ACTIVATIONS, "gelu"))


def kind_of(head: HeadConfig | None) -> str:
    """Which head it is, by its name here."""
    if head is None:
        return "vectors"
    if head.task:
        return head.task
    if head.pooling == "none":
        bare = head.transform is None or head.transform.norm is None
        return "detection" if bare and head.size == 1 else "masked"
    return "pooled" if head.transform is None else "classes"


def make_head(
    config: HfConfig, kinds: Heads, name: str, labels: tuple[str, ...]
) -> HeadConfig | None:
    """A head by its name; ``labels`` are the names of its classes, if it has classes."""
    kind, width = kinds[name], config.whole("hidden_size")
    if name == "vectors":
        return None
    if name == "pooled":
        return HeadConfig(width=width, size=width, bias=True, activation="tanh", pooling="first")
    transform = None if kind.transform is None else kind.transform(config)
    if name == "masked":
        return HeadConfig(
            width=width,
            size=config.whole("vocab_size"),
            tied=config.flag("tie_word_embeddings", default=True),
            bias=True,
            transform=transform,
        )
    size = {"span": len(_ANSWER), "choice": 1, "detection": 1}.get(name)
    if name == "span" and labels and len(labels) != size:
        raise config.error("id2label", "two labels, for start and end", labels)
    named = name in _NAMED and labels != plain_labels(len(labels))
    rate = config.rate("hidden_dropout_prob", 0.1) if name in _CLASSES else 0.0
    return HeadConfig(
        width=width,
        size=size or len(labels) or config.whole("num_labels"),
        bias=True,
        pooling="first" if name in ("classes", "choice") else "none",
        transform=transform,
        dropout=config.rate(kind.rate, rate) if name in _CLASSES else 0.0,
        labels=labels if named else (),
        task="" if name in ("classes", "detection") else name,
    )


def plain_labels(size: int) -> tuple[str, ...]:
    """What classes are called that have no names."""
    return tuple(f"LABEL_{i}" for i in range(size))


def write_head(head: HeadConfig | None, kinds: Heads) -> dict[str, Any]:
    """What the configuration says of the head alone.

    Raises:
        CheckpointError: the family has no such head.
    """
    name = kind_of(head)
    if name not in kinds:
        raise CheckpointError(f"expected a head among {', '.join(kinds)}, got {name}")
    kind = kinds[name]
    written: dict[str, Any] = {"architectures": [kind.architecture]}
    if head is not None and name in _CLASSES:
        written[kind.rate] = head.dropout
    if head is not None and name in _NAMED:
        written |= write_labels(head)
    return written


def write_labels(head: HeadConfig) -> dict[str, Any]:
    """What a configuration says of the names of classes."""
    labels = head.labels or plain_labels(head.size)
    return {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
    }


def head_rules(head: HeadConfig | None, kinds: Heads, body: str) -> Iterator[Rule]:
    """The names of a head's parameters; ``body`` is the prefix of the bare model's names."""
    kind = kinds[kind_of(head)]
    for theirs, ours in kind.parts.items():
        name = theirs.replace(BODY, body)
        found: tuple[Rule, ...] = (norm_rules if ours == "head.norm" else leaf_rules)(name, ours)
        if ours == "head" and kind.biases and head is not None:
            shared, own = kind.biases
            # an output of its own has a bias of its own, beside which files hold one without use
            first, second = (shared, own) if head.tied else (own, shared)
            found = found[0], Rule(first, "head.bias", also=(second,))
        yield from with_optional_prefix(body, found) if name != theirs else found


def head_patterns(head: HeadConfig | None, kinds: Heads) -> tuple[str, ...]:
    """Patterns of the names of the other heads, of which a checkpoint may hold several."""
    own = kinds[kind_of(head)]
    others = {pattern for kind in kinds.values() if kind is not own for pattern in _patterns(kind)}
    # the bias of the predictions has no use where the output has its own
    useless = own.biases[:1] if head is not None and not head.tied else ()
    return (*sorted(others - _patterns(own)), *useless)


def _patterns(kind: HeadKind) -> set[str]:
    return {*(f"{name.replace(BODY, '*')}.*" for name in kind.parts), *kind.biases}


def leaf_rules(theirs: str, *ours: str) -> tuple[Rule, Rule]:
    """Weight and bias, of one part or of several."""
    weight, bias = (
        Rule(f"{theirs}.{leaf}", tuple(f"{part}.{leaf}" for part in ours))
        for leaf in ("weight", "bias")
    )
    return weight, bias


def norm_rules(theirs: str, ours: str) -> tuple[Rule, Rule]:
    """Weight and bias of a normalisation, which old checkpoints call gamma and beta."""
    weight, bias = (
        Rule(f"{theirs}.{leaf}", f"{ours}.{leaf}", also=(f"{theirs}.{old}",))
        for leaf, old in (("weight", "gamma"), ("bias", "beta"))
    )
    return weight, bias
