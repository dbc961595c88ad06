"""Compilation of a function of trees through XLA, once for each structure and set of shapes.

Constraints: `tf.function` examines a tree anew at each call, which costs milliseconds for the 250
arrays of a decoding step; so a traced function is looked up here by what its arguments look like
and is handed their leaves. No argument is kept alive.
"""

from __future__ import annotations

import contextvars
import inspect
import threading
from typing import TYPE_CHECKING, Any, final

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lmkernel.contract.mandatory import Array, Tree

__all__ = ["CompiledFunction", "inside_xla"]

_TRACING: contextvars.ContextVar[bool] = contextvars.ContextVar("lmkernel_xla", default=False)


def inside_xla() -> bool:
    """Whether what runs now is being traced for XLA."""
    return _TRACING.get()


@final
class CompiledFunction:
    """``f``, traced once for each structure, shapes, dtypes and static arguments that it meets."""

    def __init__(self, f: Callable[..., Tree], static: Sequence[int]) -> None:
        self._f = f
        self._static = frozenset(static)
        self._traced: dict[tuple[Any, ...], Callable[[list[Array]], Tree]] = {}
        self._lock = threading.Lock()

    def __call__(self, *args: Any) -> Tree:
        if not tf.executing_eagerly():
            return self._f(*args)  # a caller is being compiled, and this with it
        leaves: list[Array] = []
        # True, 1 and 1.0 are equal, and are not the same argument
        key = tuple(
            (type(x), x) if i in self._static else _key(x, leaves) for i, x in enumerate(args)
        )
        call = self._traced.get(key)
        # looked up again under the lock: another thread may have compiled it while this one waited
        if call is None:
            with self._lock:
                call = self._traced.get(key)
                if call is None:
                    call = self._traced[key] = _caller(self._flat(args), leaves)
        return call(leaves)

    def _flat(self, args: tuple[Any, ...]) -> Callable[..., Tree]:
        """``f`` of the leaves alone; the rest is as in ``args``."""
        fixed, f = self._static, self._f
        shapes = [x if i in fixed else _skeleton(x) for i, x in enumerate(args)]

        def flat(*leaves: Array) -> Tree:
            rest = iter(leaves)
            token = _TRACING.set(True)
            try:
                return f(*(x if i in fixed else _fill(x, rest) for i, x in enumerate(shapes)))
            finally:
                _TRACING.reset(token)

        return flat


def _caller(flat: Callable[..., Tree], leaves: list[Array]) -> Callable[[list[Array]], Tree]:
    """``flat``, compiled for arrays like ``leaves``, without the checks of a public call.

    They take ten times as long as the call itself. Where the way around them is not what it is in
    TensorFlow 2.15 to 2.21, the public call serves.
    """
    compiled = tf.function(flat, jit_compile=True, autograph=False)
    concrete = compiled.get_concrete_function(*(tf.TensorSpec(x.shape, x.dtype) for x in leaves))
    direct = getattr(concrete, "_call_flat", None)
    if direct and [*inspect.signature(direct).parameters] == ["tensor_inputs", "captured_inputs"]:
        captured = concrete.captured_inputs
        return lambda arrays: direct(arrays, captured)
    return lambda arrays: concrete(*arrays)


def _key(tree: Tree, leaves: list[Array]) -> Any:
    """What a tree looks like, to be compared; its leaves are appended to ``leaves``."""
    if isinstance(tree, dict):
        return (*tree, *(_key(x, leaves) for x in tree.values()))
    if isinstance(tree, (list, tuple)):
        return (type(tree), *(_key(x, leaves) for x in tree))
    if tree is None:
        return None
    leaves.append(tree)
    return tree.shape, tree.dtype


def _skeleton(tree: Tree) -> Tree:
    """The tree without its leaves."""
    if isinstance(tree, dict):
        return {name: _skeleton(x) for name, x in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_skeleton(x) for x in tree)
    return tree is not None


def _fill(skeleton: Tree, leaves: Iterator[Array]) -> Tree:
    """The tree of a skeleton, with the next leaves in its places."""
    if isinstance(skeleton, dict):
        return {name: _fill(x, leaves) for name, x in skeleton.items()}
    if isinstance(skeleton, (list, tuple)):
        return type(skeleton)(_fill(x, leaves) for x in skeleton)
    return next(leaves) if skeleton else None
