"""The mandatory tier: the operations that every backend supplies, and all that it must supply.

Constraints: arrays are the framework's own; their ``.shape``, ``+ - * /``, negation, comparisons,
``& | ~`` of booleans and basic slices with step 1 are used directly. Names and meanings are the
Python array API standard's (2024.12) where it has them. Dtypes are named by strings (`DType`) and
never mixed. Indices are checked by the caller: out of range is undefined. Each operation computes
in the dtype of its arguments or a wider one, never a narrower. An array may be computed when it is
first needed; `to_numpy` waits for it. ``axis`` may count from the end. What holds at the edges
(NaN, ties, nothing, Python numbers) is said in docs/contract.md, each sentence with its case.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from lmkernel.contract.capabilities import DType

__all__ = ["Array", "MandatoryOps", "Tree"]

Array = Any
"""A framework's own array."""
Tree = Any
"""An array, or a dict, list or tuple of trees."""


class MandatoryOps(ABC):
    """What a backend must implement; a method left out makes construction fail by its name."""

    # host transfer

    @abstractmethod
    def asarray(self, value: Any, dtype: DType, *, copy: bool = True) -> Array:
        """A host array, number or nested list, on the device as ``dtype``.

        With ``copy=False`` the result may share the host array's memory, which then nobody writes.
        """

    @abstractmethod
    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        """Copy to the host; 16-bit floats come as float32."""

    # creation and dtype

    @abstractmethod
    def full(self, shape: Sequence[int], value: float, dtype: DType) -> Array:
        """An array of ``shape`` filled with ``value``."""

    @abstractmethod
    def arange(self, start: int, stop: int, dtype: DType) -> Array:
        """``start, start + 1, …, stop - 1`` in ``(stop - start,)``."""

    @abstractmethod
    def astype(self, x: Array, dtype: DType) -> Array:
        """``x`` converted to ``dtype``; differentiable between floating dtypes alone.

        To integers it is towards zero; what int32 does not hold is undefined.
        """

    @abstractmethod
    def dtype(self, x: Array) -> DType:
        """The name of the dtype of ``x``."""

    # shape

    @abstractmethod
    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        """The same elements in row-major order; one extent may be -1."""

    @abstractmethod
    def permute_dims(self, x: Array, axes: Sequence[int]) -> Array:
        """Axis ``i`` of the result is axis ``axes[i]`` of ``x``."""

    @abstractmethod
    def broadcast_to(self, x: Array, shape: Sequence[int]) -> Array:
        """``x`` repeated along axes of extent 1."""

    @abstractmethod
    def concat(self, arrays: Sequence[Array], axis: int) -> Array:
        """The arrays, one after the other, along an existing axis."""

    @abstractmethod
    def take(self, x: Array, indices: Array, axis: int) -> Array:
        """Elements along ``axis`` at int32 ``indices`` of any rank, which replace that axis."""

    # element-wise

    @abstractmethod
    def exp(self, x: Array) -> Array:
        """E to the power x."""

    @abstractmethod
    def log(self, x: Array) -> Array:
        """Natural logarithm."""

    @abstractmethod
    def sqrt(self, x: Array) -> Array:
        """Square root; the caller keeps the argument positive where gradients flow."""

    @abstractmethod
    def cos(self, x: Array) -> Array:
        """Cosine of an angle in radians."""

    @abstractmethod
    def sin(self, x: Array) -> Array:
        """Sine of an angle in radians."""

    @abstractmethod
    def tanh(self, x: Array) -> Array:
        """Hyperbolic tangent."""

    @abstractmethod
    def sigmoid(self, x: Array) -> Array:
        """1 / (1 + exp(-x)), with finite value and gradient at every finite x."""

    @abstractmethod
    def erf(self, x: Array) -> Array:
        """Error function."""

    @abstractmethod
    def minimum(self, x: Array, y: Array) -> Array:
        """The smaller of two arrays, NaN where either is; at a tie gradients add up to 1."""

    @abstractmethod
    def maximum(self, x: Array, y: Array) -> Array:
        """The larger of two arrays, NaN where either is; at a tie gradients add up to 1."""

    @abstractmethod
    def where(self, condition: Array, x: Array, y: Array) -> Array:
        """``x`` where the boolean condition holds, else ``y``; all three broadcast."""

    # reductions and products

    @abstractmethod
    def sum(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        """Sum along one axis, in the dtype of ``x``."""

    @abstractmethod
    def max(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        """Maximum along one axis, NaN where one is there; ties share the gradient equally."""

    @abstractmethod
    def argmax(self, x: Array, axis: int) -> Array:
        """int32 index of the first maximum along one axis; no gradient flows through it.

        NaN counts as the largest.
        """

    @abstractmethod
    def matmul(self, x: Array, y: Array) -> Array:
        """``(…, n, k) @ (…, k, m) -> (…, n, m)``; leading axes broadcast."""

    # differentiation, compilation, loops

    @abstractmethod
    def stop_gradient(self, x: Array) -> Array:
        """``x``, through which no gradient flows."""

    @abstractmethod
    def value_and_grad(
        self, f: Callable[..., Tree], *, aux: bool = False
    ) -> Callable[..., tuple[Tree, Tree]]:
        """``g(tree, *args) -> (f(tree, *args), gradient)`` for an ``f`` of scalar value.

        The gradient has the structure and dtypes of ``tree``; a leaf that ``f`` does not use gets
        zeros. With ``aux``, ``f`` returns (scalar, tree) and the scalar alone is differentiated.
        Leaves are floating arrays, at least one. Second derivatives are undefined.
        """

    @abstractmethod
    def compile(
        self, f: Callable[..., Tree], *, donate: Sequence[int] = (), static: Sequence[int] = ()
    ) -> Callable[..., Tree]:
        """``f``, compiled for the shapes that it meets; the identity is a valid implementation.

        Arguments are trees of arrays, but for the positions in ``static``, which are hashable and
        told apart by type and equality.
        Positions in ``donate`` are consumed: the caller never uses them again.
        """

    @abstractmethod
    def scan(
        self,
        f: Callable[[Tree, Tree], tuple[Tree, Tree]],
        init: Tree,
        xs: Tree,
        *,
        reverse: bool = False,
    ) -> tuple[Tree, Tree]:
        """Loop ``carry, y = f(carry, x)`` over the leading axis; returns (carry, stacked ys).

        There is at least one step. ``f`` is pure; it may be called once for all steps.
        """

    # cache and random numbers

    @abstractmethod
    def cache_update(self, buffer: Array, values: Array, start: Array, axis: int) -> Array:
        """``buffer`` (consumed) with ``values`` at ``start`` (0-d int32) along ``axis``."""

    @abstractmethod
    def random_uniform(self, key: Array, shape: Sequence[int], dtype: DType) -> Array:
        """Uniform in [0, 1) from the framework, keyed by a non-negative int32 ``key (2,)``."""
