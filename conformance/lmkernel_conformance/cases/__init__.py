"""All cases of the suite, found by their type in the modules of this package."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel_conformance.cases import (
    activations,
    adam_updates,
    attention_shapes,
    attentions,
    beams,
    beyond,
    beyond_gradients,
    blocks,
    caches,
    callers,
    checkpoints,
    clipping,
    compilation,
    components,
    contract,
    curves,
    declarations,
    design_attention,
    design_functions,
    design_moves,
    design_products,
    design_stacks,
    determinism,
    distances,
    draws,
    edge_gradients,
    edges,
    embeddings,
    extents,
    farther,
    farther_calls,
    farther_components,
    farther_extents,
    farther_heads,
    farther_shapes,
    farther_training,
    findings,
    generation,
    gradients,
    heads,
    honest,
    launches,
    laws,
    layers,
    linears,
    losses,
    mandatory,
    meetings,
    memory,
    model_laws,
    models,
    narrow,
    norms,
    optimizers,
    overrides,
    pictures,
    recurrents,
    rotaries,
    schedules,
    seeds,
    slopes,
    sounds,
    special,
    stacks,
    state,
    streams,
    together,
    trainers,
    tutorial,
    walk,
)
from lmkernel_conformance.cases.case import Case, Item, case, items
from lmkernel_conformance.cases.trial import TrialCases
from lmkernel_conformance.levels import LEVELS, PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

__all__ = [
    "CASES",
    "LEVELS",
    "PROFILES",
    "Case",
    "Item",
    "case",
    "items",
]

_MODULES = (
    tutorial,
    contract,
    draws,
    streams,
    mandatory,
    activations,
    norms,
    linears,
    blocks,
    attentions,
    attention_shapes,
    caches,
    recurrents,
    losses,
    narrow,
    overrides,
    pictures,
    compilation,
    gradients,
    heads,
    honest,
    sounds,
    special,
    edges,
    edge_gradients,
    walk,
    findings,
    laws,
    design_attention,
    design_products,
    design_functions,
    design_moves,
    extents,
    beams,
    beyond,
    beyond_gradients,
    farther,
    farther_calls,
    farther_components,
    farther_extents,
    farther_heads,
    farther_shapes,
    farther_training,
    launches,
    callers,
    slopes,
    meetings,
    memory,
    components,
    declarations,
    embeddings,
    rotaries,
    stacks,
    distances,
    layers,
    design_stacks,
    models,
    model_laws,
    state,
    seeds,
    generation,
    determinism,
    checkpoints,
    adam_updates,
    optimizers,
    clipping,
    schedules,
    curves,
    trainers,
    together,
)


def _cases(module: ModuleType) -> Iterator[Case]:
    for value in vars(module).values():
        if isinstance(value, Case):
            yield value
        if isinstance(value, TrialCases):
            yield from value.cases
        if isinstance(value, tuple):
            yield from (one for one in value if isinstance(one, Case))


def _table() -> dict[str, Case]:
    table: dict[str, Case] = {}
    for module in _MODULES:
        for one in _cases(module):
            key = f"{one.level}/{one.name}"
            if table.setdefault(key, one) is not one:
                raise ValueError(f"the case {key!r} is there twice")
    return table


CASES: Mapping[str, Case] = MappingProxyType(_table())
"""The cases, by ``level/name``."""
