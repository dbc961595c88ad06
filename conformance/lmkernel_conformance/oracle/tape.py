"""Reverse-mode differentiation of the oracle's formulas.

Constraint: a second engine, apart from any framework's: each primitive of `Arithmetic` links its
result to its arguments with the derivative written beside it. Central differences are its witness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["Var", "gradient", "link", "raw"]

Host = Any


def raw(x: Host) -> Host:
    """The array inside."""
    return x.value if isinstance(x, Var) else x


def link(ar: Arithmetic, value: Host, *links: tuple[Host, Callable[[Host], Host]]) -> Host:
    """``value``, linked to those of its arguments that are traced."""
    parents = [(x, back) for x, back in links if isinstance(x, Var)]
    return Var(ar, value, parents) if parents else value


@final
class Var:
    """An array whose origin is remembered."""

    __array_ufunc__ = None  # an ndarray on the left leaves the operator to this class

    def __init__(
        self, ar: Arithmetic, value: Host, parents: list[tuple[Var, Callable[[Host], Host]]]
    ) -> None:
        self.ar = ar
        self.value = value
        self.parents = parents
        self.depth: int = 1 + max((parent.depth for parent, _ in parents), default=0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the array inside."""
        shape: tuple[int, ...] = self.value.shape
        return shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
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
    """Both sides, each summed back over what was broadcast."""
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
    """Gradient of Σ probe · output, summed over all outputs, for each of the inputs."""
    leaves = {name: Var(ar, x, []) for name, x in inputs.items()}
    outputs = f(dict(leaves))
    found: dict[int, Host] = {}
    for output, probe in zip(outputs, probes, strict=True):
        _add(found, output, probe)
    for var in sorted(_reachable(outputs), key=lambda v: -v.depth):
        for parent, back in var.parents:
            _add(found, parent, back(found[id(var)]))
    return {name: found.get(id(v), np.zeros_like(v.value)) for name, v in leaves.items()}


def _reachable(outputs: list[Host]) -> list[Var]:
    """Everything that the outputs come from, themselves included, once."""
    pending, seen = list(outputs), {}
    while pending:
        var = pending.pop()
        if isinstance(var, Var) and id(var) not in seen:
            seen[id(var)] = var
            pending.extend(parent for parent, _ in var.parents)
    return list(seen.values())


def _add(found: dict[int, Host], var: Host, g: Host) -> None:
    if isinstance(var, Var):
        found[id(var)] = found[id(var)] + g if id(var) in found else g
