"""The mandatory tier on NumPy, with gradients through autograd.

Constraints: every function goes through ``autograd.numpy``, which is NumPy itself when nothing is
traced. Gradients are cast to the dtype of their argument, since autograd widens some of them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import autograd.numpy as anp
import numpy as np
from autograd.core import VJPNode, add_outgrads
from autograd.extend import defvjp, primitive
from autograd.numpy.numpy_vjps import unbroadcast_f
from autograd.tracer import getval, isbox, new_box, trace_stack
from autograd.util import toposort

from lmkernel.contract.capabilities import WIDE
from lmkernel.contract.mandatory import Array, MandatoryOps, Tree
from lmkernel.contract.trees import loop_scan, tree_map

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmkernel.contract.capabilities import DType

__all__ = ["NumpyOps"]

_NAMES: Mapping[Any, DType] = MappingProxyType(
    {
        np.dtype("float32"): "float32",
        np.dtype("float64"): "float64",
        np.dtype("float16"): "float16",
        np.dtype("int32"): "int32",
        np.dtype("bool"): "bool",
    }
)
"""The contract's names; making one from NumPy's dtype takes longer than many an operation."""


@primitive  # type: ignore[untyped-decorator]  # autograd ships no types
def _sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow: exp is only taken of -|x|."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


defvjp(_sigmoid, lambda y, _: lambda g: g * y * (1 - y))


@primitive  # type: ignore[untyped-decorator]  # autograd ships no types
def _tanh(x: Array) -> Array:
    return np.tanh(x)


defvjp(_tanh, lambda y, _: lambda g: g * (1 - y * y))  # autograd's own overflows in cosh


@primitive  # type: ignore[untyped-decorator]  # autograd ships no types
def _erf(x: Array) -> Array:
    from scipy import special  # slow to import, and only erf needs it

    return special.erf(x)


defvjp(_erf, lambda _, x: lambda g: g * np.exp(-x * x) * np.asarray(2 / np.sqrt(np.pi), x.dtype))


@primitive  # type: ignore[untyped-decorator]  # autograd ships no types
def _where(condition: Array, x: Array, y: Array) -> Array:
    return np.where(condition, x, y)


defvjp(  # autograd's own fails where the condition has more axes than a choice
    _where,
    None,
    lambda _, c, x, __: unbroadcast_f(x, lambda g: np.where(c, g, np.zeros((), g.dtype))),
    lambda _, c, __, y: unbroadcast_f(y, lambda g: np.where(c, np.zeros((), g.dtype), g)),
)


@final
class NumpyOps(MandatoryOps):
    """NumPy's implementation of the mandatory tier."""

    def asarray(self, value: Any, dtype: DType, *, copy: bool = True) -> Array:
        return np.array(value, dtype=dtype) if copy else np.asarray(value, dtype=dtype)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return np.array(x)

    def full(self, shape: Sequence[int], value: float, dtype: DType) -> Array:
        return np.full(shape, value, dtype=dtype)

    def arange(self, start: int, stop: int, dtype: DType) -> Array:
        return np.arange(start, stop, dtype=dtype)

    def astype(self, x: Array, dtype: DType) -> Array:
        return x.astype(dtype)

    def dtype(self, x: Array) -> DType:
        return _NAMES[x.dtype]

    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        return anp.reshape(x, tuple(shape))

    def permute_dims(self, x: Array, axes: Sequence[int]) -> Array:
        return anp.transpose(x, tuple(axes))

    def broadcast_to(self, x: Array, shape: Sequence[int]) -> Array:
        axes = (1,) * (len(shape) - x.ndim)  # autograd knows no axes in front
        return anp.broadcast_to(anp.reshape(x, axes + x.shape) if axes else x, tuple(shape))

    def concat(self, arrays: Sequence[Array], axis: int) -> Array:
        return anp.concatenate(arrays, axis)

    def take(self, x: Array, indices: Array, axis: int) -> Array:
        return x[(slice(None),) * (axis % x.ndim) + (indices,)]

    def exp(self, x: Array) -> Array:
        return anp.exp(x)

    def log(self, x: Array) -> Array:
        return anp.log(x)

    def sqrt(self, x: Array) -> Array:
        return anp.sqrt(x)

    def cos(self, x: Array) -> Array:
        return anp.cos(x)

    def sin(self, x: Array) -> Array:
        return anp.sin(x)

    def tanh(self, x: Array) -> Array:
        return _tanh(x)

    def sigmoid(self, x: Array) -> Array:
        return _sigmoid(x)

    def erf(self, x: Array) -> Array:
        return _erf(x)

    def minimum(self, x: Array, y: Array) -> Array:
        return anp.minimum(x, y)

    def maximum(self, x: Array, y: Array) -> Array:
        return anp.maximum(x, y)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        return _where(condition, x, y)

    def sum(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        if x.dtype.kind != "f":
            return x.sum(axis=axis, keepdims=keepdims, dtype=x.dtype)
        return anp.sum(x, axis=axis, keepdims=keepdims)

    def max(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return anp.max(x, axis=axis, keepdims=keepdims)

    def argmax(self, x: Array, axis: int) -> Array:
        return np.argmax(getval(x), axis=axis).astype(np.int32)

    def matmul(self, x: Array, y: Array) -> Array:
        return anp.matmul(x, y)

    def stop_gradient(self, x: Array) -> Array:
        return getval(x)

    def value_and_grad(
        self, f: Callable[..., Tree], *, aux: bool = False
    ) -> Callable[..., tuple[Tree, Tree]]:
        def value_and_gradients(tree: Tree, *args: Any) -> tuple[Tree, Tree]:
            with trace_stack.new_trace() as trace:
                boxed = tree_map(lambda x: new_box(x, trace, VJPNode.new_root()), tree)
                result = f(boxed, *args)
            gradients = _backward(result[0] if aux else result, trace)
            zeros = tree_map(lambda box: gradients.get(box._node, 0), boxed)  # noqa: SLF001 - autograd has no public way
            return tree_map(getval, result), tree_map(_like, zeros, tree)

        return value_and_gradients

    def compile(
        self, f: Callable[..., Tree], *, donate: Sequence[int] = (), static: Sequence[int] = ()
    ) -> Callable[..., Tree]:
        del donate, static  # nothing is compiled
        return f

    def scan(
        self,
        f: Callable[[Tree, Tree], tuple[Tree, Tree]],
        init: Tree,
        xs: Tree,
        *,
        reverse: bool = False,
    ) -> tuple[Tree, Tree]:
        return loop_scan(anp.stack, f, init, xs, reverse=reverse)

    def cache_update(self, buffer: Array, values: Array, start: Array, axis: int) -> Array:
        first, axis = int(start), axis % buffer.ndim
        window = slice(first, first + values.shape[axis])
        if isbox(buffer) or isbox(values):
            before, after = slice(None, first), slice(window.stop, None)
            lead = (slice(None),) * axis
            parts = [buffer[(*lead, before)], values, buffer[(*lead, after)]]
            return anp.concatenate(parts, axis)
        if buffer.base is not None:  # a view, which may share its memory with what is still used
            buffer = buffer.copy()
        buffer[(slice(None),) * axis + (window,)] = values
        return buffer

    def random_uniform(self, key: Array, shape: Sequence[int], dtype: DType) -> Array:
        philox = np.random.Philox(key=np.asarray(key, dtype=np.uint64))
        # drawn in its own dtype: what is cut to fewer bits later is rounded, to one at last
        drawn = np.random.Generator(philox).random(tuple(shape), WIDE.get(dtype, dtype))  # type: ignore[arg-type]  # NumPy's stubs know no names of dtypes
        return drawn.astype(dtype)


def _backward(value: Array, trace: int) -> dict[VJPNode, Array]:
    """The gradient at every node that has no parents, such as the roots of a tree of inputs."""
    if not (isbox(value) and value._trace == trace):  # noqa: SLF001 - the same
        return {}
    end = value._node  # noqa: SLF001 - the same
    grads = {end: (np.ones_like(getval(value)), False)}
    for node in toposort(end):
        if not node.parents:
            continue
        grad = grads.pop(node)
        for parent, part in zip(node.parents, node.vjp(grad[0]), strict=True):
            grads[parent] = add_outgrads(grads.get(parent), part)
    return {node: grad[0] for node, grad in grads.items()}


def _like(gradient: Array, x: Array) -> Array:
    return np.broadcast_to(np.asarray(gradient, dtype=x.dtype), x.shape)
