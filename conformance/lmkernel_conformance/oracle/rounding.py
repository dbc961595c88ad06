"""Arrays that round at random: Monte Carlo arithmetic (Parker 1997; Vignes 1993).

One rounding error says little: it may be zero by luck at this element, and two correct libraries
round differently anyway. So an honest run moves the result of each operation by a unit in the last
place at most, at random. Where terms cancel, what is left of them moves by as much as the terms
did; that is how the loss of digits shows at just the elements that suffer it.

Constraint: a run gives the same bits every time, on every machine.
"""

from __future__ import annotations

import functools
from typing import Any, final

import numpy as np

__all__ = ["Noise", "NoisyArray", "random_words", "with_noise"]

Host = Any

_POOL = 1 << 17
"""How many random factors are drawn once and then read at changing offsets."""
_STRIDE, _STEP = 49_999, 7_919
"""Primes, by which the offset changes from one operation to the next, and from run to run."""
_FOURTH = 4
"""In every fourth run all elements of one result move together, as those of a biased library do; in
every fourth, what is below the smallest normal number becomes zero, as on hardware that flushes."""
_ROUNDED = frozenset(
    {
        np.add,
        np.subtract,
        np.multiply,
        np.divide,
        np.power,
        np.sqrt,
        np.exp,
        np.log,
        np.sin,
        np.cos,
        np.tanh,
    }
)


@final
class NoisyArray(np.ndarray[Any, Any]):
    """An array whose arithmetic moves each result by a unit in the last place at most."""

    noise: Noise | None = None

    def __array_finalize__(self, source: Any) -> None:
        """Give a view or a copy the noise of its source."""
        if type(source) is NoisyArray:
            self.noise = source.noise

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        """Compute on plain arrays, and move the result if the function rounds."""
        noise: Any = next(x.noise for x in inputs if type(x) is NoisyArray)
        inputs = tuple([x.view(np.ndarray) if type(x) is NoisyArray else x for x in inputs])
        if method == "__call__" and ufunc in _ROUNDED:
            return noise.move(ufunc(*inputs, **options))
        return with_noise(getattr(ufunc, method)(*inputs, **options), noise)


@final
class Noise:
    """The random moves of one run.

    Args:
        run: the number of the run, from 1.
    """

    def __init__(self, run: int) -> None:
        self._together = run % _FOURTH == 0
        self._flushes = run % _FOURTH == 1
        self._at = run * _STEP

    def move(self, x: Host, eps: float = 0.0) -> Host:
        """Each element times 1, 1 + eps or 1 - eps / 2, at random; infinity stays what it is.

        Args:
            x: the elements.
            eps: the distance from 1 to the next number; 0 stands for that of the array's own dtype.
        """
        factors, shape, size = _factors(x.dtype.char, eps), x.shape, x.size
        self._at = (self._at + _STRIDE) % _POOL
        if self._together:
            moved = x * factors[self._at]
        elif size <= _POOL:
            moved = x * factors[self._at : self._at + size].reshape(shape)
        else:
            moved = x * np.resize(factors[self._at :], shape)
        if self._flushes:
            moved = np.where(np.abs(moved) < np.finfo(x.dtype).tiny, moved.dtype.type(0), moved)
        return with_noise(moved, self)


def with_noise(x: Host, noise: Noise | None) -> Host:
    """``x`` as a `NoisyArray` if it is an array of floats and there is noise, else as it is."""
    if noise is None or type(x) is NoisyArray or not isinstance(x, (np.ndarray, np.floating)):
        return x
    if x.dtype.kind != "f":
        return x
    noisy = np.asarray(x).view(NoisyArray)
    noisy.noise = noise
    return noisy


def random_words(run: int, count: int) -> Host:
    """Random 64-bit words, keyed by run and count: Philox's raw output never changes."""
    return np.random.Philox(key=np.array([run, count], np.uint64)).random_raw(count)


@functools.cache
def _factors(dtype: str, eps: float) -> Host:
    """The pool, twice over: up a unit one time in six, down by half of one two times, else 1.

    Below 1 numbers are twice as dense as above it. So both moves can be represented, and their mean
    is zero.
    """
    unit = eps or float(np.finfo(dtype).eps)
    table = np.array([1 + unit, 1 - unit / 2, 1 - unit / 2, 1, 1, 1], dtype)
    return np.tile(table[random_words(0, _POOL) % np.uint64(len(table))], 2)
