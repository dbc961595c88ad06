"""Loops: a real one where a graph is traced, a plain one where operations run at once.

Constraints: an unrolled loop takes XLA minutes to compile. Inputs are read from and outputs written
to `tf.TensorArray`, so that gradients are written slice by slice too and a step costs the same
however long the loop is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from lmkernel.contract.trees import tree_map, tree_stack, tree_take

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array, Tree

__all__ = ["scan"]

Step = Any
"""``f(carry, x) -> (carry, y)``."""


def scan(f: Step, init: Tree, xs: Tree, *, reverse: bool) -> tuple[Tree, Tree]:
    """``carry, y = f(carry, x)`` over the leading axis; the carry and the stacked ys."""
    leaves: list[Array] = []
    tree_map(leaves.append, xs)
    length = leaves[0].shape[0]
    run = _at_once if tf.executing_eagerly() else _in_graph
    return run(f, init, xs, length, reverse=reverse)


def _at_once(f: Step, init: Tree, xs: Tree, length: int, *, reverse: bool) -> tuple[Tree, Tree]:
    carry, ys = init, []
    for step in reversed(range(length)) if reverse else range(length):
        carry, y = f(carry, tree_take(xs, step))
        ys.append(y)
    return carry, tree_stack(tf.stack, ys[::-1] if reverse else ys)


def _in_graph(f: Step, init: Tree, xs: Tree, length: int, *, reverse: bool) -> tuple[Tree, Tree]:
    first = tree_map(lambda x: tf.zeros(x.shape[1:], x.dtype), xs)
    _, like = f(init, first)  # for its structure; the graph drops what nothing reads
    sources = tree_map(lambda x: _array(length, x.dtype, x.shape[1:]).unstack(x), xs)
    sinks = tree_map(lambda y: _array(length, y.dtype, y.shape), like)

    def body(count: Array, carry: Tree, sinks: Tree) -> tuple[Array, Tree, Tree]:
        step = length - 1 - count if reverse else count
        carry, y = f(carry, tree_map(lambda source: source.read(step), sources))
        return count + 1, carry, tree_map(lambda sink, v: sink.write(step, v), sinks, y)

    start = (tf.constant(0), init, sinks)
    _, carry, sinks = tf.while_loop(
        lambda count, *_: count < length, body, start, maximum_iterations=length
    )
    return carry, tree_map(lambda sink: sink.stack(), sinks)


def _array(length: int, dtype: tf.DType, shape: tf.TensorShape) -> tf.TensorArray:
    return tf.TensorArray(dtype, length, element_shape=shape, clear_after_read=False)
