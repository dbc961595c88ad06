"""Trials of stacks of transformer layers without cross-attention, called once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.interfaces import Embedded
from lmkernel.parameters import flatten, nest
from lmkernel_conformance.cases.case import Case
from lmkernel_conformance.cases.trial import Trial, check_gradients, check_values
from lmkernel_conformance.inputs import normal, parameters
from lmkernel_conformance.oracle.transformer import stack

if TYPE_CHECKING:
    from lmkernel.config import TransformerConfig
    from lmkernel_conformance.subject import Subject

__all__ = ["WHERE", "stack_cases", "stack_trial"]

Host = Any

WHERE = np.array([[0, 1, 2, 3, 4], [-1, -1, 0, 1, 2]])
"""Two rows of five; the second is padded on the left."""


def stack_trial(
    s: Subject,
    config: TransformerConfig,
    interface: str,
    where: Host = WHERE,
    tables: tuple[tuple[int, int], ...] = (),
) -> Trial:
    """A trial of a stack; gradients are taken of its input and of the tables, too.

    Args:
        s: the backend under test, which declares the parameters.
        config: the stack.
        interface: ``"encoder"`` or ``"decoder"``.
        where: positions, ``(2, time)``; -1 is padding.
        tables: the shape of each table of distances, which an embedding holds.
    """
    component = s.factory.create(interface, config)
    hosts = parameters(f"stacks.{interface}", flatten(component.declare()))
    inputs = {"x": normal("stacks.x", *where.shape, config.width)}
    for i, shape in enumerate(tables):
        inputs[f"table.{i}"] = normal(f"stacks.table.{i}", *shape)

    def tables_of(t: dict[str, Any]) -> list[Any]:
        return [t[f"table.{i}"] for i in range(len(tables))]

    def native(x: Subject, t: dict[str, Any]) -> Any:
        own = {name: t[name] for name in hosts}
        first, *others = tables_of(t) or [None]
        embedded = Embedded(t["x"], x.array(where), relative=first, more_relative=tuple(others))
        got = component(nest(component.declare(), own), embedded)
        return got.hidden if interface == "encoder" else got

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        own = {f"own.{name}": t[name] for name in hosts}
        return stack(ar, t["x"], where, own, "own", config, tables=tables_of(t))

    return Trial(inputs={**hosts, **inputs}, native=native, formula=formula)


def stack_cases(
    name: str,
    doc: str,
    config: TransformerConfig,
    where: Host = WHERE,
    *tables: tuple[int, int],
) -> tuple[Case, Case]:
    """The values of a stack called once, and its gradients."""
    interface = "decoder" if config.causal else "encoder"
    plain = Case(
        level="components",
        name=f"stack.{name}",
        run=lambda s: check_values(s, stack_trial(s, config, interface, where, tables)),
        doc=doc,
    )
    gradient = Case(
        level="components",
        name=f"stack.{name}.gradient",
        run=lambda s: check_gradients(s, stack_trial(s, config, interface, where, tables)),
        training=True,
        doc=f"{doc} The gradient of every parameter.",
    )
    return plain, gradient
