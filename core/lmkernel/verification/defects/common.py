"""What a candidate is, and the ways in which one changes a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.config import AttentionConfig, MlpConfig, NormConfig
from lmkernel.verification.defects import operations as wrong
from lmkernel.verification.one_run import Variant
from lmkernel.verification.structure import change_every, top_transformer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig

    Values = dict[str, NDArray[Any]]

__all__ = [
    "Candidate",
    "attention_with",
    "embedding_with",
    "exchanged",
    "mlp_with",
    "norms_with",
    "rewritten",
    "stack_with",
    "without_norms",
    "zeroed",
]


@final
@dataclass(frozen=True)
class Candidate:
    """One defect.

    Args:
        id: its name.
        words: what it is, after "as if".
        variant: the model that has it.
    """

    id: str
    words: str
    variant: Variant


def stack_with(config: ModelConfig, **changes: Any) -> Variant:
    """The stack with other fields."""
    name, stack = top_transformer(config)
    parts: dict[str, Any] = {name: replace(stack, **changes)}
    return Variant(config=replace(config, **parts))


def attention_with(config: ModelConfig, **changes: Any) -> Variant:
    """Attention of every layer with other fields, but for the delta rule, which is none."""

    def changed(own: AttentionConfig) -> AttentionConfig:
        return own if own.delta is not None else replace(own, **changes)

    return Variant(config=change_every(config, AttentionConfig, changed))


def mlp_with(config: ModelConfig, **changes: Any) -> Variant:
    """The MLP of every layer with other fields."""
    return Variant(config=change_every(config, MlpConfig, lambda m: replace(m, **changes)))


def norms_with(config: ModelConfig, **changes: Any) -> Variant:
    """Every normalisation with other fields, wherever it stands."""
    return Variant(config=change_every(config, NormConfig, lambda n: replace(n, **changes)))


def embedding_with(config: ModelConfig, **changes: Any) -> Variant:
    """The embedding with other fields."""
    return Variant(config=replace(config, embedding=replace(config.embedding, **changes)))


def rewritten(
    how: Callable[[NDArray[Any]], NDArray[Any]], *endings: str
) -> Callable[[Values], Values]:
    """Parameters whose names end so are others."""

    def change(values: Values) -> Values:
        return {n: how(x) if n.endswith(endings) else x for n, x in values.items()}

    return change


def zeroed(*endings: str) -> Callable[[Values], Values]:
    """Parameters whose names end so are zero."""
    return rewritten(np.zeros_like, *endings)


def without_norms(*endings: str) -> Variant:
    """Normalisations whose names end so are left out: a weight that is no number marks them."""
    marked = rewritten(lambda x: np.full_like(x, np.nan), *(f"{e}.weight" for e in endings))
    skipping: dict[str, Callable[..., Any]] = {
        "rms_norm": wrong.rms_unless_marked,
        "layer_norm": wrong.layer_unless_marked,
    }
    return Variant(change=marked, operations=skipping)


def exchanged(one: str, other: str) -> Callable[[Values], Values]:
    """Two parts of each layer have each other's parameters, where these are of one shape."""

    def change(values: Values) -> Values:
        moved = {}
        for name in values:
            twin = name.replace(one, other) if one in name else name.replace(other, one)
            fits = twin in values and values[twin].shape == values[name].shape
            moved[name] = values[twin if fits else name]
        return moved

    return change
