"""Reverse-mode differentiation of the oracle's formulas.

Each primitive of `Arithmetic` links its result to its arguments by the derivative that is written
beside it; `gradient` walks the links backwards.

Constraint: it is an engine of its own, independent of every framework's, and is itself tested
against central differences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_conformance.oracle.rounding import with_noise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["Var", "gradient", "link", "raw"]

Host = Any


def raw(x: Host) -> Host:
    """The array inside a `Var`; any other value as it is."""
    return x.value if isinstance(x, Var) else x


def link(ar: Arithmetic, value: Host, *links: tuple[Host, Callable[[Host], Host]]) -> Host:
    """Link a result to its arguments.

    Args:
        ar: the arithmetic, which sums gradients back over broadcast axes.
        value: the result.
        links: each argument with the function from the result's gradient to the argument's.
    """
    # Where no argument is a `Var` nothing is recorded, so plain evaluation costs no memory.
    parents = [(x, back) for x, back in links if isinstance(x, Var)]
    return Var(ar, value, parents) if parents else with_noise(value, ar.noise)


@final
class Var:
    """An array that remembers which arrays it was computed from, and by which derivatives."""

    __array_ufunc__ = None  # an ndarray on the left leaves the operator to this class

    def __init__(
        self, ar: Arithmetic, value: Host, parents: list[tuple[Var, Callable[[Host], Host]]]
    ) -> None:
        self.ar = ar
        self.value = with_noise(value, ar.noise)
        self.parents = parents
        # Deeper than all that it depends on: sorting by depth is then a topological order.
        self.depth: int = 1 + max((parent.depth for parent, _ in parents), default=0)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array inside."""
        shape: tuple[int, ...] = self.value.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __add__(self, other: Host) -> Var:
        return _binary(self, other, self.value + raw(other), lambda g: g, lambda g: g)

    def __sub__(self, other: Host) -> Var:
        return _binary(self, other, self.value - raw(other), lambda g: g, lambda g: -g)

    def __rsub__(self, other: Host) -> Var:
        return self.__neg__().__add__(other)

    def __neg__(self) -> Var:
        return Var(self.ar, -self.value, [(self, lambda g: -g)])

    def __mul__(self, other: Host) -> Var:
        a, b = self.value, raw(other)
        return _binary(self, other, a * b, lambda g: g * b, lambda g: g * a)

    def __truediv__(self, other: Host) -> Var:
        a, b = self.value, raw(other)
        return _binary(self, other, a / b, lambda g: g / b, lambda g: -g * (a / b) / b)

    def __rtruediv__(self, other: Host) -> Var:
        a, b = raw(other), self.value
        back = lambda g: self.ar.unbroadcast(-g * (a / b) / b, b.shape)  # noqa: E731 - a formula
        return Var(self.ar, a / b, [(self, back)])

    __radd__ = __add__
    __rmul__ = __mul__

    def __getitem__(self, key: Any) -> Var:
        def back(g: Host) -> Host:
            whole = np.zeros_like(self.value)
            whole[key] = g
            return whole

        return Var(self.ar, self.value[key], [(self, back)])


def _binary(
    x: Var, y: Host, value: Host, left: Callable[[Host], Host], right: Callable[[Host], Host]
) -> Var:
    """The result of an operator, linked to both sides; gradients are summed over broadcast axes."""
    ar, shapes = x.ar, (x.value.shape, np.shape(raw(y)))
    links = [(x, lambda g: ar.unbroadcast(left(g), shapes[0]))]
    if isinstance(y, Var):
        links.append((y, lambda g: ar.unbroadcast(right(g), shapes[1])))
    return Var(ar, value, links)


def gradient(
    ar: Arithmetic,
    f: Callable[[dict[str, Host]], list[Host]],
    inputs: Mapping[str, Host],
    probes: list[Host],
) -> dict[str, Host]:
    """The gradient of Σ probe · output, summed over all outputs, for each of the inputs.

    Args:
        ar: the arithmetic.
        f: the formula; takes the inputs by name and gives its outputs.
        inputs: arrays by name.
        probes: one array for each output, of its shape.
    """
    leaves = {name: Var(ar, x, []) for name, x in inputs.items()}
    outputs = f(dict(leaves))
    found: dict[int, Host] = {}
    for output, probe in zip(outputs, probes, strict=True):
        _add(found, output, probe)
    # Deepest first: when a variable's turn comes, all that was computed from it has added its
    # share.
    for var in sorted(_reachable(outputs), key=lambda v: -v.depth):
        for parent, back in var.parents:
            _add(found, parent, back(found[id(var)]))
    return {name: found.get(id(v), np.zeros_like(v.value)) for name, v in leaves.items()}


def _reachable(outputs: list[Host]) -> list[Var]:
    """Every variable that the outputs depend on, themselves included, each once."""
    pending, seen = list(outputs), {}
    while pending:
        var = pending.pop()
        if isinstance(var, Var) and id(var) not in seen:
            seen[id(var)] = var
            pending.extend(parent for parent, _ in var.parents)
    return list(seen.values())


def _add(found: dict[int, Host], var: Host, g: Host) -> None:
    """Add to the gradient of a variable; an output that depends on no input is no variable."""
    if isinstance(var, Var):
        g = with_noise(g, var.ar.noise)
        found[id(var)] = found[id(var)] + g if id(var) in found else g
