"""In which precision, and in which order of summation, a formula is evaluated.

Constraints: order 0 is NumPy's own. Every other order permutes what is summed, sums one by one
where it is odd, and moves the results of transcendental functions by at most one unit in the last
place, as honest libraries do among themselves. All of it is fixed: an order gives the same bits
always. Formulas are differentiated by `lmkernel_conformance.oracle.tape`.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_conformance.oracle.tape import Var, link, raw

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Arithmetic"]

Host = Any
"""A NumPy array, or a `Var` that wraps one while gradients are taken."""


@final
class Arithmetic:
    """Functions over arrays, in one precision and one order.

    Args:
        dtype: NumPy's name of the precision.
        order: 0 for the natural one.
        rounding: rounds to a 16-bit format what such a format would store, if given.
    """

    def __init__(
        self,
        dtype: str = "float64",
        order: int = 0,
        rounding: Callable[[Host], Host] | None = None,
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.order = order
        self._rounding = rounding

    # constants and rounding

    def full(self, shape: Sequence[int], value: float) -> Host:
        """A constant array."""
        return np.full(tuple(shape), value, self.dtype)

    def constant(self, x: Host) -> Host:
        """An array of known numbers, such as inputs or frequencies, in this precision.

        In float64 the reference is no better than what is judged by it, and shows no rounding of
        + - × ÷ by itself: there, orders move these numbers too by a unit in the last place.
        """
        y = np.asarray(x, self.dtype)
        return self._near(y) if self.dtype == np.float64 else y

    def narrow(self, x: Host) -> Host:
        """``x`` as a 16-bit format would store it between two steps; else ``x``."""
        if self._rounding is None:
            return x
        return link(self, self._rounding(raw(x)), (x, lambda g: g))

    # element-wise

    def exp(self, x: Host) -> Host:
        """E to the power x."""
        y = self._near(np.exp(raw(x)))
        return link(self, y, (x, lambda g: g * y))

    def log(self, x: Host) -> Host:
        """Natural logarithm."""
        return link(self, self._near(np.log(raw(x))), (x, lambda g: g / raw(x)))

    def sqrt(self, x: Host) -> Host:
        """Square root."""
        y = np.sqrt(raw(x))
        return link(self, y, (x, lambda g: g / (2 * y)))

    def cos(self, x: Host) -> Host:
        """Cosine."""
        return link(self, self._near(np.cos(raw(x))), (x, lambda g: -g * np.sin(raw(x))))

    def sin(self, x: Host) -> Host:
        """Sine."""
        return link(self, self._near(np.sin(raw(x))), (x, lambda g: g * np.cos(raw(x))))

    def tanh(self, x: Host) -> Host:
        """Hyperbolic tangent; its slope is sech², or 1 - tanh² as honest libraries have it."""
        v, y = raw(x), self._near(np.tanh(raw(x)))
        slope = 1 - y * y if self.order else _sech(v) ** 2
        return link(self, y, (x, lambda g: g * slope))

    def sigmoid(self, x: Host) -> Host:
        """1 / (1 + exp(-x)), by the branch that cannot overflow; its slope as that of `tanh`."""
        v = raw(x)
        small = np.exp(-np.abs(v))
        rising, falling = 1 / (1 + small), small / (1 + small)
        y = self._near(np.where(v >= 0, rising, falling))
        slope = y * (1 - y) if self.order else rising * falling
        return link(self, y, (x, lambda g: g * slope))

    def erf(self, x: Host) -> Host:
        """Error function, by the C library of Python."""
        v = raw(x)
        y = self._near(np.vectorize(math.erf, otypes=[v.dtype])(v))
        slope = np.exp(-v * v) * (2 / math.sqrt(math.pi))
        return link(self, y, (x, lambda g: g * slope))

    def where(self, condition: Host, x: Host, y: Host) -> Host:
        """``x`` where the condition holds, else ``y``."""
        x, y = (z if isinstance(z, Var) else np.asarray(z, self.dtype) for z in (x, y))
        value = np.where(condition, raw(x), raw(y))
        return link(
            self,
            value,
            (x, lambda g: self.unbroadcast(np.where(condition, g, 0), raw(x).shape)),
            (y, lambda g: self.unbroadcast(np.where(condition, 0, g), raw(y).shape)),
        )

    # shape

    def reshape(self, x: Host, shape: Sequence[int]) -> Host:
        """The same elements in row-major order."""
        old = raw(x).shape
        return link(self, raw(x).reshape(shape), (x, lambda g: g.reshape(old)))

    def transpose(self, x: Host, axes: Sequence[int]) -> Host:
        """Axis i of the result is axis ``axes[i]`` of x."""
        back = tuple(np.argsort(axes))
        return link(self, raw(x).transpose(axes), (x, lambda g: g.transpose(back)))

    def concat(self, parts: Sequence[Host], axis: int) -> Host:
        """The arrays, one after the other."""
        ends = np.cumsum([raw(part).shape[axis] for part in parts])
        links = [
            (part, functools.partial(_piece, axis=axis, start=end - raw(part).shape[axis], end=end))
            for part, end in zip(parts, ends, strict=True)
        ]
        return link(self, np.concatenate([raw(part) for part in parts], axis), *links)

    def take(self, x: Host, indices: Host, axis: int = 0) -> Host:
        """Elements along an axis at ``indices`` of any rank."""
        v = raw(x)

        def back(g: Host) -> Host:
            axis_first = axis % v.ndim
            whole = np.zeros_like(v)
            np.add.at(whole, (slice(None),) * axis_first + (indices,), g)
            return whole

        return link(self, np.take(v, indices, axis), (x, back))

    # sums

    def sum(self, x: Host, axis: int, *, keepdims: bool = False) -> Host:
        """Sum along one axis, in the order."""
        v = raw(x)

        def back(g: Host) -> Host:
            return np.broadcast_to(g if keepdims else np.expand_dims(g, axis), v.shape)

        return link(self, self._total(v, axis, keepdims=keepdims), (x, back))

    def mean(self, x: Host, axis: int, *, keepdims: bool = False) -> Host:
        """Sum divided by extent."""
        return self.sum(x, axis, keepdims=keepdims) / raw(x).shape[axis]

    def max(self, x: Host, axis: int) -> Host:
        """Maximum along one axis, kept as an axis of extent 1; a constant to gradients."""
        return raw(x).max(axis, keepdims=True)

    def matmul(self, x: Host, y: Host) -> Host:
        """``(…, n, k) @ (…, k, m)``, summed in the order."""
        a, b = raw(x), raw(y)
        return link(
            self,
            self._product(a, b),
            (x, lambda g: self.unbroadcast(self._product(g, np.swapaxes(b, -1, -2)), a.shape)),
            (y, lambda g: self.unbroadcast(self._product(np.swapaxes(a, -1, -2), g), b.shape)),
        )

    def unbroadcast(self, g: Host, shape: Sequence[int]) -> Host:
        """The gradient of a broadcast: summed back to ``shape``."""
        while g.ndim > len(shape):
            g = self._total(g, 0, keepdims=False)
        for axis, extent in enumerate(shape):
            if extent == 1 and g.shape[axis] != 1:
                g = self._total(g, axis, keepdims=True)
        return g

    def _total(self, v: Host, axis: int, *, keepdims: bool) -> Host:
        if self.order:
            v = np.take(v, _permutation(self.order, v.shape[axis]), axis)
        if self.order % 2 and v.shape[axis]:
            v = np.take(np.cumsum(v, axis, dtype=v.dtype), [-1], axis)
            return v if keepdims else np.squeeze(v, axis)
        return v.sum(axis, keepdims=keepdims)

    def _product(self, a: Host, b: Host) -> Host:
        if self.order == 0:
            return np.matmul(a, b)
        order = _permutation(self.order, a.shape[-1])
        a, b = a[..., order], b[..., order, :]
        return np.einsum("...ij,...jk->...ik", a, b) if self.order % 2 else np.matmul(a, b)

    def _near(self, y: Host) -> Host:
        """``y``, each element at most one unit in the last place off, unless the order is 0."""
        if self.order == 0:
            return y
        steps = _steps(self.order, y.size).reshape(y.shape).astype(y.dtype)
        with np.errstate(invalid="ignore"):  # infinity stays what it is
            moved = y + y * (steps * (np.finfo(y.dtype).eps / 2))
        return np.where(np.isfinite(y), moved, y)


def _sech(v: Host) -> Host:
    small = np.exp(-np.abs(v))
    return 2 * small / (1 + small * small)


def _piece(g: Host, *, axis: int, start: int, end: int) -> Host:
    return np.take(g, np.arange(start, end), axis)


def _words(order: int, count: int) -> Host:
    return np.random.Philox(key=np.array([order, count], np.uint64)).random_raw(count)


@functools.cache
def _permutation(order: int, count: int) -> Host:
    return np.argsort(_words(order, count), kind="stable")


@functools.cache
def _steps(order: int, count: int) -> Host:
    """-1, 0 or 1 for each element, in halves of epsilon: at most one unit in the last place."""
    return (_words(order, count) % np.uint64(3)).astype(np.int64) - 1
