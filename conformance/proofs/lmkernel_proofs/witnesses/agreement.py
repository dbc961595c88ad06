"""How far the oracle may be from a witness, and how far it is.

A float64 result may differ from the exact one by what half a unit in the last place of every input
does to it (its condition, measured on the witness itself, along fixed patterns of signs), eight
times, plus some units of its own; of a derivative, units of the largest at that point, for where
softmax is shifted they cancel to zero. Nothing of this is taken from the oracle.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.arithmetic import Arithmetic
from lmkernel_conformance.oracle.tape import gradient
from lmkernel_proofs.witnesses.point import signs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel_proofs.witnesses.point import Point

__all__ = ["allowances", "exact_slopes", "exact_values", "oracle_slopes", "oracle_values", "probes"]

Host = Any

_FACTOR = 8
_PATTERNS = 4
_EPS = 2.0**-52
_SMALLEST = 2.0**-1022
_RESOLVED = 1e-55
_STEP = "1e-30"
_WHOLE = 12
_FEW = 3


def flat(arrays: list[Host]) -> list[Any]:
    """All elements of all arrays."""
    return [x for array in arrays for x in np.asarray(array).ravel().tolist()]


def oracle_values(point: Point, order: int = 0) -> list[float]:
    """The oracle's outputs."""
    return flat(point.oracle(Arithmetic(order=order), dict(point.inputs)))


def probes(outputs: list[Host]) -> list[Host]:
    """What outputs are multiplied with before they are summed and differentiated."""
    return [((7.0 * np.arange(x.size)) % 11 / 4 - 1.125).reshape(x.shape) for x in outputs]


def directions(point: Point) -> Iterator[tuple[str, Host]]:
    """Along which derivatives are compared: each element, or patterns of signs of many."""
    whole, count = (_WHOLE, _FEW) if len(point.inputs) <= _FEW else (_FEW, 1)
    for name, x in point.inputs.items():
        if x.size <= whole:
            yield from ((name, row.reshape(x.shape)) for row in np.eye(x.size))
        else:
            yield from ((name, signs(f"{point.id}.{name}.{i}", *x.shape)) for i in range(count))


def oracle_slopes(point: Point, order: int = 0) -> list[float]:
    """The oracle's derivative along each direction."""
    ar, inputs = Arithmetic(order=order), dict(point.inputs)
    outputs = point.oracle(ar, inputs)
    found = gradient(ar, lambda t: point.oracle(ar, t), inputs, probes(outputs))
    return [math.fsum((found[name] * d).ravel()) for name, d in directions(point)]


def exact_values(point: Point, pattern: int = -1) -> list[Any]:
    """The witness's outputs, for the inputs or for inputs moved by half a unit each."""
    return flat(point.witness(_move_inputs(point, pattern)))


def exact_slopes(point: Point, pattern: int = -1) -> list[Any]:
    """Central differences of the witness's probed outputs, good to 1e-55."""
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
    from lmkernel_proofs.witnesses.precise import MP, exact

    if pattern < 0:
        return {name: exact(x) for name, x in point.inputs.items()}
    half = MP.mpf(2) ** -53
    return {
        name: exact(x) * (1 + half * exact(signs(f"move.{name}.{pattern}", *np.shape(x))))
        for name, x in point.inputs.items()
    }


def allowances(point: Point) -> tuple[list[float], list[float]]:
    """For each output, and for each slope."""
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
