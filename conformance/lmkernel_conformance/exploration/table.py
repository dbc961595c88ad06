"""All properties by name, and the case that an example makes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel_conformance.cases.case import Case
from lmkernel_conformance.exploration import (
    attention,
    bits,
    cache,
    elementwise,
    gradients,
    layers,
    shapes,
    state,
    training,
)
from lmkernel_conformance.exploration.property import judge_example

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.exploration.draw import Example
    from lmkernel_conformance.exploration.property import Property

__all__ = ["PROPERTIES", "example_case"]

_MODULES = (elementwise, shapes, layers, attention, cache, bits, gradients, training, state)

PROPERTIES: Mapping[str, Property] = MappingProxyType(
    {one.name: one for module in _MODULES for one in module.PROPERTIES}
)


def example_case(name: str, drawn: Example) -> Case:
    """A case of level ``operations`` that judges one example.

    Args:
        name: the name of the property.
        drawn: the example.
    """
    one = PROPERTIES[name]
    return Case(level="operations", name=name, run=lambda s: judge_example(s, one, drawn))
