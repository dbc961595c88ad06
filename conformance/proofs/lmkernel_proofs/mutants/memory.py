"""Views read as if they were contiguous, arguments that are written to, results that are shared."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.contract.trees import tree_map
from lmkernel_proofs.mutants.mutant import Mutant, mandatory, optional

__all__ = ["MUTANTS"]


def _in_storage_order(x: Any) -> Any:
    """The elements of a view in the order of its memory, as if strides were not there."""
    if not isinstance(x, np.ndarray) or x.flags.c_contiguous or x.dtype.kind != "f":
        return x
    if 0 in x.strides:  # what is repeated is read on from its first element
        return x
    return x.ravel(order="K").reshape(x.shape)


def _reads_storage(op: str) -> Any:
    def broken(ops: Any, x: Any, *rest: Any, **options: Any) -> Any:
        return getattr(ops, op)(_in_storage_order(x), *rest, **options)

    broken.__doc__ = f"{op} reads a transposed argument as if it were contiguous."
    return broken


def _overwrites(op: str) -> Any:
    def broken(ops: Any, x: Any, *rest: Any, **options: Any) -> Any:
        y = getattr(ops, op)(x, *rest, **options)
        if isinstance(x, np.ndarray) and x.flags.writeable and x.shape == y.shape:
            x[...] = y
        return y

    broken.__doc__ = f"{op} works in place: its argument then holds the result."
    return broken


def gradient_in_place(ops: Any, f: Any, **options: Any) -> Any:
    """The gradient is written over the array that it belongs to."""
    own = ops.value_and_grad(f, **options)

    def value_and_gradient(tree: Any, *args: Any) -> Any:
        value, gradient = own(tree, *args)
        for leaf, g in zip(_leaves(tree), _leaves(gradient), strict=True):
            if leaf.flags.writeable and leaf.ndim:
                leaf[...] = g
        return value, gradient

    return value_and_gradient


def gradient_by_array(ops: Any, f: Any, **options: Any) -> Any:
    """An array in two places of a tree has the gradient of the last one in both."""
    own = ops.value_and_grad(f, **options)

    def value_and_gradient(tree: Any, *args: Any) -> Any:
        value, gradient = own(tree, *args)
        found = dict(zip(map(id, _leaves(tree)), _leaves(gradient), strict=True))
        return value, tree_map(lambda leaf: found[id(leaf)], tree)

    return value_and_gradient


def _leaves(tree: Any) -> list[Any]:
    found: list[Any] = []
    tree_map(found.append, tree)
    return found


def view_to_host(ops: Any, x: Any) -> Any:
    """An array that is a view comes to the host as itself."""
    return x if isinstance(x, np.ndarray) and x.base is not None else ops.to_numpy(x)


def share_strided(ops: Any, value: Any, dtype: Any, *, copy: bool = True) -> Any:
    """A strided host array is shared, since copying contiguous ones is what was thought of."""
    strided = isinstance(value, np.ndarray) and not value.flags.c_contiguous
    return ops.asarray(value, dtype, copy=copy and not strided)


def clear_donated(ops: Any, f: Any, *, donate: Any = (), static: Any = ()) -> Any:
    """A donated buffer is cleared, though a result may be a view of it."""
    compiled = ops.compile(f, donate=donate, static=static)

    def call_and_clear(*args: Any) -> Any:
        results = compiled(*args)
        given = {id(x) for x in _leaves(results)}
        for i in donate:
            for leaf in _leaves(args[i]):
                if id(leaf) not in given and leaf.flags.writeable:
                    leaf[...] = 0
        return results

    return call_and_clear


def update_through(ops: Any, buffer: Any, values: Any, start: Any, axis: int) -> Any:
    """A buffer that is a view is written through, into the array that it shows a part of."""
    if not isinstance(buffer, np.ndarray) or not isinstance(values, np.ndarray):
        return ops.cache_update(buffer, values, start, axis)
    if not buffer.flags.writeable:
        return ops.cache_update(buffer, values, start, axis)
    first = int(start)
    buffer[(slice(None),) * axis + (slice(first, first + values.shape[axis]),)] = values
    return buffer


def count_once(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """What is repeated along an axis without memory of its own is summed once."""
    if isinstance(x, np.ndarray) and x.shape[axis] > 1 and x.strides[axis] == 0:
        x = np.take(x, [0], axis)
    return ops.sum(x, axis, keepdims=keepdims)


def matmul_in_order(ops: Any, x: Any, y: Any) -> Any:
    """The right factor of a product is read as if it were contiguous."""
    return ops.matmul(x, _in_storage_order(y))


def linear_in_order(ops: Any, x: Any, weight: Any, bias: Any = None, delta: Any = None) -> Any:
    """A weight is read as if it were contiguous."""
    return ops.linear(x, _in_storage_order(weight), bias, delta)


def keys_in_order(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """Keys and values are read as if they were contiguous, for one query."""
    if q.shape[2] == 1:
        k, v = _in_storage_order(k), _in_storage_order(v)
    return ops.attention(q, k, v, mask, **options)


_STORED = ("softmax", "log_softmax", "layer_norm", "rms_norm", "gelu", "gelu_tanh", "silu")
_STORED_PLAIN = ("argmax", "take", "exp", "tanh", "max", "reshape")
_IN_PLACE = ("softmax", "rotate", "gelu", "silu", "relu", "layer_norm", "rms_norm", "log_softmax")
_IN_PLACE_PLAIN = ("exp", "tanh", "sigmoid", "sqrt")


_EXAMPLES = "the tutorial's examples are whole formulas, which see it too; a case here is about it"
_HIGHER = {"exp.in_place": _EXAMPLES}


def _of(op: str, name: str, make: Any, level: str = "operations") -> Mutant:
    key = f"{op}.{name}"
    return Mutant(id=key, level=level, make=make, higher=_HIGHER.get(key, ""))


MUTANTS = (
    *(_of(op, "storage", optional(op, _reads_storage(op))) for op in _STORED),
    *(_of(op, "storage", mandatory(op, _reads_storage(op))) for op in _STORED_PLAIN),
    _of("cross_entropy", "storage", optional("cross_entropy", _reads_storage("cross_entropy"))),
    _of("matmul", "storage", mandatory("matmul", matmul_in_order)),
    _of("linear", "storage", optional("linear", linear_in_order)),
    _of("attention", "storage", optional("attention", keys_in_order)),
    *(_of(op, "in_place", optional(op, _overwrites(op))) for op in _IN_PLACE),
    *(_of(op, "in_place", mandatory(op, _overwrites(op))) for op in _IN_PLACE_PLAIN),
    _of("value_and_grad", "in_place", mandatory("value_and_grad", gradient_in_place), "gradients"),
    _of("value_and_grad", "by_array", mandatory("value_and_grad", gradient_by_array), "gradients"),
    _of("to_numpy", "view", mandatory("to_numpy", view_to_host)),
    _of("asarray", "strided", mandatory("asarray", share_strided)),
    _of("compile", "cleared", mandatory("compile", clear_donated)),
    _of("cache_update", "through", mandatory("cache_update", update_through)),
    _of("sum", "once", mandatory("sum", count_once)),
)
