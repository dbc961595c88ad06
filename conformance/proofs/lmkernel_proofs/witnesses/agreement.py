"""How far the oracle may be from a witness, and how far it is.

The allowance has two parts. Eight times what half a unit in the last place of every input does to
the exact result: its condition, measured on the witness along fixed patterns of signs. And some
units in the last place of the result itself; for a derivative, of the largest one at the point,
since derivatives of softmax cancel to zero. Nothing of this is taken from the oracle.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.arithmetic import Arithmetic
from lmkernel_conformance.oracle.rounding import with_noise
from lmkernel_conformance.oracle.tape import gradient
from lmkernel_proofs.witnesses.point import signs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel_proofs.witnesses.point import Point

__all__ = [
    "allowances",
    "directions",
    "exact_slopes",
    "exact_values",
    "oracle_slopes",
    "oracle_values",
    "probes",
]

Host = Any

_FACTOR = 8
"""A handful of roundings of a computation each do about what moving the inputs does."""
_PATTERNS = 4
"""Patterns of signs along which inputs are moved."""
_EPS = 2.0**-52
_SMALLEST = 2.0**-1022
"""The smallest normal number: below it float64 has no relative precision."""
_RESOLVED = 1e-55
"""What a difference of 100 digits with the step below still resolves."""
_STEP = "1e-30"
_WHOLE = 12
"""Inputs of so many elements are differentiated by each of them."""
_FEW = 3
"""Points with more inputs than this take fewer directions, to stay quick."""


def flat(arrays: list[Host]) -> list[Any]:
    """All elements of all arrays, in order."""
    return [x for array in arrays for x in np.asarray(array).ravel().tolist()]


def oracle_values(point: Point, order: int = 0) -> list[float]:
    """The oracle's outputs, flat."""
    ar = Arithmetic(order=order)
    return flat(point.oracle(ar, _own_inputs(ar, point)))


def probes(outputs: list[Host]) -> list[Host]:
    """Weights of the outputs, by which they are summed to the number that is differentiated.

    They differ from element to element, since an error in two gradients could cancel in a sum.
    """
    return [((7.0 * np.arange(x.size)) % 11 / 4 - 1.125).reshape(x.shape) for x in outputs]


def directions(point: Point) -> Iterator[tuple[str, Host]]:
    """Directions of derivatives: each element of a small input, sign patterns of a large one."""
    whole, count = (_WHOLE, _FEW) if len(point.inputs) <= _FEW else (_FEW, 1)
    for name, x in point.inputs.items():
        if x.size <= whole:
            yield from ((name, row.reshape(x.shape)) for row in np.eye(x.size))
        else:
            yield from ((name, signs(f"{point.id}.{name}.{i}", *x.shape)) for i in range(count))


def oracle_slopes(point: Point, order: int = 0) -> list[float]:
    """The oracle's derivative along each of `directions`."""
    ar = Arithmetic(order=order)
    inputs = _own_inputs(ar, point)
    outputs = point.oracle(ar, inputs)
    found = gradient(ar, lambda t: point.oracle(ar, t), inputs, probes(outputs))
    return [math.fsum((found[name] * d).ravel()) for name, d in directions(point)]


def _own_inputs(ar: Arithmetic, point: Point) -> dict[str, Host]:
    return {name: with_noise(x, ar.noise) for name, x in point.inputs.items()}


def exact_values(point: Point, pattern: int = -1) -> list[Any]:
    """The witness's outputs, at the inputs or, for a pattern of 0 or more, at moved ones."""
    return flat(point.witness(_move_inputs(point, pattern)))


def exact_slopes(point: Point, pattern: int = -1) -> list[Any]:
    """Central differences of the witness's probed outputs, good to 1e-55.

    The error of the step is of the order of its square, 1e-60; what the difference cancels leaves
    70 of the 100 digits.
    """
    from lmkernel_proofs.witnesses.precise import MP, exact

    inputs, h = _move_inputs(point, pattern), MP.mpf(_STEP)
    ys = point.witness(inputs)
    weights = [MP.mpf(w) for w in flat(probes([np.asarray(y) for y in ys]))]

    def at(name: str, d: Host, step: Any) -> list[Any]:
        return flat(point.witness({**inputs, name: inputs[name] + exact(d) * step}))

    def slope(name: str, d: Host) -> Any:
        pairs = zip(weights, at(name, d, h), at(name, d, -h), strict=True)
        return MP.fsum(w * (above - below) for w, above, below in pairs) / (2 * h)

    return [slope(name, d) for name, d in directions(point)]


def _move_inputs(point: Point, pattern: int) -> dict[str, Host]:
    """The inputs as exact numbers, each moved up or down by half a unit in the last place."""
    from lmkernel_proofs.witnesses.precise import MP, exact

    if pattern < 0:
        return {name: exact(x) for name, x in point.inputs.items()}
    half = MP.mpf(2) ** -53
    return {
        name: exact(x) * (1 + half * exact(signs(f"move.{name}.{pattern}", *np.shape(x))))
        for name, x in point.inputs.items()
    }


def allowances(point: Point) -> tuple[list[float], list[float]]:
    """The allowance of each output, and of each slope.

    Returns:
        Two lists, the second empty for a point without a gradient.
    """
    sizes = [max(abs(float(y)), _SMALLEST / _EPS) for y in exact_values(point)]
    values = _allowance(point, exact_values, sizes)
    if not point.gradient:
        return values, []
    slopes = [abs(float(y)) for y in exact_slopes(point)]
    top = max(*slopes, _RESOLVED / _EPS)
    return values, _allowance(point, exact_slopes, [top] * len(slopes))


def _allowance(point: Point, f: Any, sizes: list[float]) -> list[float]:
    count = _PATTERNS if f is exact_values or len(point.inputs) <= _FEW else 1
    count = count if point.moved else 0
    still, moved = f(point), [f(point, pattern) for pattern in range(count)]
    reach = [max((abs(float(m[i] - y)) for m in moved), default=0) for i, y in enumerate(still)]
    own = [point.ulps * size * _EPS for size in sizes]
    return [_FACTOR * r + o for r, o in zip(reach, own, strict=True)]
