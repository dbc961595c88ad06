"""Every case of the suite, found by its type in the modules of this package."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel_conformance.cases import (
    activations,
    adam_updates,
    attention_shapes,
    attentions,
    caches,
    checkpoints,
    clipping,
    compiled,
    components,
    contract,
    curves,
    declarations,
    document,
    draws,
    embeddings,
    found,
    generation,
    gradients,
    honest,
    laws,
    linears,
    losses,
    mandatory,
    model_laws,
    models,
    narrow,
    norms,
    optimizers,
    overrides,
    recurrents,
    schedules,
    seeds,
    stacks,
    trainers,
)
from lmkernel_conformance.cases.case import LEVELS, PROFILES, Case, Item, case, items
from lmkernel_conformance.cases.trial import Trial, Tried, trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

__all__ = [
    "CASES",
    "LEVELS",
    "PROFILES",
    "Case",
    "Item",
    "Trial",
    "Tried",
    "case",
    "items",
    "trial",
]

_MODULES = (
    document,
    contract,
    draws,
    mandatory,
    activations,
    norms,
    linears,
    attentions,
    attention_shapes,
    caches,
    recurrents,
    losses,
    narrow,
    overrides,
    compiled,
    gradients,
    honest,
    found,
    laws,
    components,
    declarations,
    embeddings,
    stacks,
    models,
    model_laws,
    seeds,
    generation,
    checkpoints,
    adam_updates,
    optimizers,
    clipping,
    schedules,
    curves,
    trainers,
)


def _cases(module: ModuleType) -> Iterator[Case]:
    for value in vars(module).values():
        if isinstance(value, Case):
            yield value
        if isinstance(value, Tried):
            yield from value.cases
        if isinstance(value, tuple):
            yield from (made for made in value if isinstance(made, Case))


def _table() -> dict[str, Case]:
    table: dict[str, Case] = {}
    for module in _MODULES:
        for made in _cases(module):
            key = f"{made.level}/{made.name}"
            if table.setdefault(key, made) is not made:
                raise ValueError(f"the case {key!r} is there twice")
    return table


CASES: Mapping[str, Case] = MappingProxyType(_table())
"""By ``level/name``."""
