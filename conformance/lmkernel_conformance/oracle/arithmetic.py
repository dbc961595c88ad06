"""The arithmetic that a formula is evaluated in: a precision and an order of summation.

Floating-point addition is not associative, and every library sums, fuses and rounds in a way of its
own. How much that matters depends on the formula and on the numbers, so it is measured: order 0 is
NumPy's own; every other order permutes the summands, and moves what each operation gives by a unit
in the last place at most (`lmkernel_conformance.oracle.rounding`).

Constraints: an order gives the same bits every time, on every machine. Gradients are taken by
`lmkernel_conformance.oracle.tape`, which is why each primitive states its derivative.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_conformance.oracle.rounding import Noise, random_words, with_noise
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
        order: the order of summation; 0 is NumPy's own.
        rounding: a function that rounds an array to a 16-bit format, if one is under test.
        spacing: the distance from 1 to the next number of that format.
    """

    def __init__(
        self,
        dtype: str = "float64",
        order: int = 0,
        rounding: Callable[[Host], Host] | None = None,
        spacing: float = 0.0,
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.order = order
        self._rounding, self._spacing = rounding, spacing
        self.noise = Noise(order) if order else None

    @property
    def other_formula(self) -> bool:
        """Whether the second of two honest formulas is taken, where there are two."""
        return self.order % 4 > 1

    # constants and rounding

    def full(self, shape: Sequence[int], value: float) -> Host:
        """A constant array."""
        return with_noise(np.full(tuple(shape), value, self.dtype), self.noise)

    def constant(self, x: Host) -> Host:
        """An array of known numbers, such as inputs or frequencies, in this precision."""
        return with_noise(np.asarray(x, self.dtype), self.noise)

    def narrow(self, x: Host) -> Host:
        """Round ``x`` as a 16-bit backend does when it stores it between two operations."""
        if self._rounding is None:
            return x
        # A backend that stores at another place rounds otherwise: a number between two others
        # goes to either of them.
        value = raw(x) if self.noise is None else self.noise.move(np.asarray(raw(x)), self._spacing)
        return link(self, self._rounding(np.asarray(value)), (x, lambda g: g))

    # element-wise

    def exp(self, x: Host) -> Host:
        """The exponential function."""
        # Most libraries compute 2^(x·log₂e). The product rounds, and the result is off by x times
        # as much; so are the functions below that are made of exponentials.
        y = np.exp(self._near(raw(x)))
        return link(self, y, (x, lambda g: g * y))

    def log(self, x: Host) -> Host:
        """The natural logarithm."""
        return link(self, np.log(raw(x)), (x, lambda g: g / raw(x)))

    def sqrt(self, x: Host) -> Host:
        """Square root."""
        y = np.sqrt(raw(x))
        return link(self, y, (x, lambda g: g / (2 * y)))

    def cos(self, x: Host) -> Host:
        """Cosine."""
        y, slope = self._near_one(np.cos(raw(x))), self._near_one(np.sin(raw(x)))
        return link(self, y, (x, lambda g: -g * slope))

    def sin(self, x: Host) -> Host:
        """Sine."""
        y, slope = self._near_one(np.sin(raw(x))), self._near_one(np.cos(raw(x)))
        return link(self, y, (x, lambda g: g * slope))

    def tanh(self, x: Host) -> Host:
        """Hyperbolic tangent."""
        # 1 - tanh² cancels near saturation; sech² does not, and is the reference. Libraries compute
        # the former, so the honest orders do too: the loss of digits belongs in the budget.
        v = self._near(raw(x))
        y = np.tanh(v)
        slope = 1 - y * y if self.order else _sech(v) ** 2
        return link(self, y, (x, lambda g: g * slope))

    def sigmoid(self, x: Host) -> Host:
        """1 / (1 + exp(-x))."""
        # The exponential of -|x| cannot overflow on either side. The slope has the exact form for
        # the reference and the usual y·(1 - y), which cancels, for the honest orders, as in `tanh`.
        v = self._near(raw(x))
        small = np.exp(-np.abs(v))
        rising, falling = 1 / (1 + small), small / (1 + small)
        y = with_noise(np.where(v >= 0, rising, falling), self.noise)
        slope = y * (1 - y) if self.order else rising * falling
        return link(self, y, (x, lambda g: g * slope))

    def erf(self, x: Host) -> Host:
        """The error function, from Python's C library: NumPy has none."""
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
            first, flat = axis % v.ndim, np.asarray(indices).reshape(-1)
            parts = g.reshape((*v.shape[:first], flat.size, *v.shape[first + 1 :]))
            if self.order and flat.size:
                order = _permutation(self.order, flat.size)
                flat, parts = flat[order], np.take(self._near(parts), order, first)
            # np.add.at adds up where an index occurs several times; whole[index] += g would not.
            whole = np.zeros_like(v)
            np.add.at(whole, (slice(None),) * first + (flat,), parts)
            return whole

        return link(self, np.take(v, indices, axis), (x, back))

    # sums

    def sum(self, x: Host, axis: int, *, keepdims: bool = False) -> Host:
        """Sum along one axis, in this order of summation."""
        v = raw(x)

        def back(g: Host) -> Host:
            return np.broadcast_to(g if keepdims else np.expand_dims(g, axis), v.shape)

        return link(self, self._total(v, axis, keepdims=keepdims), (x, back))

    def mean(self, x: Host, axis: int, *, keepdims: bool = False) -> Host:
        """The sum divided by the extent of the axis."""
        return self.sum(x, axis, keepdims=keepdims) / raw(x).shape[axis]

    def max(self, x: Host, axis: int) -> Host:
        """Maximum along one axis, which stays with extent 1; a constant to gradients."""
        # It is only ever subtracted for stability, where its gradient cancels from the result.
        return raw(x).max(axis, keepdims=True)

    def matmul(self, x: Host, y: Host) -> Host:
        """``(…, n, k) @ (…, k, m)``, in this order of summation."""
        a, b = raw(x), raw(y)
        return link(
            self,
            self._product(a, b),
            (x, lambda g: self.unbroadcast(self._product(g, np.swapaxes(b, -1, -2)), a.shape)),
            (y, lambda g: self.unbroadcast(self._product(np.swapaxes(a, -1, -2), g), b.shape)),
        )

    def unbroadcast(self, g: Host, shape: Sequence[int]) -> Host:
        """Sum a gradient back to ``shape``, the shape that was broadcast."""
        while g.ndim > len(shape):
            g = self._total(g, 0, keepdims=False)
        for axis, extent in enumerate(shape):
            if extent == 1 and g.shape[axis] != 1:
                g = self._total(g, axis, keepdims=True)
        return g

    def _total(self, v: Host, axis: int, *, keepdims: bool) -> Host:
        """Sum along an axis, permuted where the order is not 0, one by one where it is odd."""
        if self.order:
            v = np.take(self._near(v), _permutation(self.order, v.shape[axis]), axis)
        # np.sum adds pairwise, whose error grows with log n. A kernel may well add one by one,
        # whose error grows with n: the last element of a running sum is just that. Half of the
        # orders do so, for the budget to cover both.
        if self.order % 2 and v.shape[axis]:
            v = np.take(np.cumsum(v, axis, dtype=v.dtype), [-1], axis)
            return v if keepdims else np.squeeze(v, axis)
        return v.sum(axis, keepdims=keepdims)

    def _product(self, a: Host, b: Host) -> Host:
        """Matrix product, the summed axis permuted where the order is not 0."""
        if self.order == 0:
            return np.matmul(a, b)
        # BLAS (np.matmul) sums in blocks with fused multiply-adds, einsum in plain loops: two
        # libraries that disagree in the last digits, and both are honest.
        order = _permutation(self.order, a.shape[-1])
        a, b = self._near(a)[..., order], b[..., order, :]
        if self.order % 2 == 0:
            return np.matmul(a, b)
        return with_noise(np.einsum("...ij,...jk->...ik", a, b), self.noise)

    def _near(self, y: Host) -> Host:
        """Move each element by a unit in the last place at most, unless the order is 0."""
        return y if self.noise is None else self.noise.move(np.asarray(y))

    def _near_one(self, y: Host) -> Host:
        """Move each element by a unit in the last place of 1, where the second formula is taken."""
        # Vectorised sines reduce the angle in their own precision, and so are right to a unit of 1,
        # not to one of a result near zero.
        return self._near(1 + y) - 1 if self.order and self.other_formula else y


def _sech(v: Host) -> Host:
    """1 / cosh(v), by an exponential that cannot overflow."""
    small = np.exp(-np.abs(v))
    return 2 * small / (1 + small * small)


def _piece(g: Host, *, axis: int, start: int, end: int) -> Host:
    """The part of a concatenation's gradient that belongs to one of its arrays."""
    return np.take(g, np.arange(start, end), axis)


@functools.cache
def _permutation(order: int, count: int) -> Host:
    """The order in which ``count`` summands are added."""
    return np.argsort(random_words(order, count), kind="stable")
