"""Every property by name, and the case that one example makes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel_conformance.cases.case import Case
from lmkernel_conformance.exploration import (
    attention,
    cache,
    elementwise,
    gradients,
    layers,
    shapes,
    training,
)
from lmkernel_conformance.exploration.property import judged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.exploration.draw import Drawn
    from lmkernel_conformance.exploration.property import Property

__all__ = ["PROPERTIES", "drawn_case"]

_MODULES = (elementwise, shapes, layers, attention, cache, gradients, training)

PROPERTIES: Mapping[str, Property] = MappingProxyType(
    {made.name: made for module in _MODULES for made in module.PROPERTIES}
)


def drawn_case(name: str, drawn: Drawn) -> Case:
    """One example of a property as a case of level ``operations``.

    Args:
        name: of the property.
        drawn: what it drew.
    """
    made = PROPERTIES[name]
    return Case(level="operations", name=name, run=lambda s: judged(s, made, drawn))
