"""Functions of arrays as programs of ONNX Runtime, one for each structure, shape and dtype.

Constraints: arguments are handed over without a copy; a matrix that lies in memory as its transpose
does is handed over as that. Leaves that are no arrays are part of the program.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.contract.trees import tree_map
from lmkernel_onnx.graph import Graph
from lmkernel_onnx.running import session_of
from lmkernel_onnx.sizes import Size
from lmkernel_onnx.values import Value, held, node, transposed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Tree

__all__ = [
    "alone",
    "compile_function",
    "flatten",
    "handed_over",
    "is_array",
    "lies_flipped",
    "traced_here",
]

_MOST = 1024
"""Programs of a function that are kept."""
_MOST_HEAVY = 4
"""Programs of a function that are kept where each has a copy of weights."""
_HEAVY = 1 << 24
"""Bytes of constants that make a program heavy."""


def is_array(x: object) -> bool:
    """Whether a leaf is an array on the host."""
    return isinstance(x, (np.ndarray, np.generic))


def flatten(tree: Tree) -> tuple[list[Any], Any]:
    """The leaves of a tree, and a key of its structure."""
    if isinstance(tree, dict):
        parts = [flatten(value) for value in tree.values()]
        return [x for leaves, _ in parts for x in leaves], (
            *zip(tree, (k for _, k in parts), strict=True),
            dict,
        )
    if isinstance(tree, (list, tuple)):
        parts = [flatten(value) for value in tree]
        return [x for leaves, _ in parts for x in leaves], (*(k for _, k in parts), type(tree))
    return [tree], None


def traced_here(tree: Tree) -> bool:
    """Whether a leaf is a value of a graph, so that a function is being traced."""
    return any(isinstance(leaf, Value) for leaf in flatten(tree)[0])


def compile_function(
    f: Callable[..., Tree], *, static: Sequence[int] = (), threads: int | None = None
) -> Callable[..., Tree]:
    """``f`` as a program, which is made when it first meets a structure, shapes and dtypes.

    Args:
        f: a function of trees of arrays.
        static: positions of arguments that are part of the program.
        threads: how many it runs on; by default ONNX Runtime's own choice.
    """
    programs: dict[Any, _Program] = {}

    @functools.wraps(f)
    def call(*args: Any) -> Tree:
        dynamic = [arg for i, arg in enumerate(args) if i not in static]
        leaves, structure = flatten(dynamic)
        if any(isinstance(leaf, Value) for leaf in leaves):
            return f(*args)
        fixed = tuple((type(args[i]), args[i]) for i in static if i < len(args))
        key = (structure, len(args), fixed, *map(_key, leaves))
        program = programs.get(key) or _Program(f, args, static, threads)
        programs.pop(key, None)
        programs[key] = program  # the last one that was used
        for old in _too_many(programs):
            programs.pop(old, None)
        return program(leaves)

    return call


def _too_many(programs: Mapping[Any, _Program]) -> list[Any]:
    """The keys of programs to forget, of those that were not used for longest."""
    every = list(programs.items())
    heavy = [key for key, program in every if program.heavy]
    return [key for key, _ in every[:-_MOST]] + heavy[:-_MOST_HEAVY]


def alone(count: int, *, threads: int | None = 1) -> Callable[..., Any]:
    """An operation that is a program of its own where nothing is traced.

    Args:
        count: how many of its arguments are trees of arrays, the first ones.
        threads: as of `compile_function`.
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        compiled = compile_function(
            lambda arrays, options: method(None, *arrays, **dict(options)),
            static=(1,),
            threads=threads,
        )
        names = method.__code__.co_varnames[1 + count : method.__code__.co_argcount]

        @functools.wraps(method)
        def call(self: Any, *args: Any, **options: Any) -> Any:
            arrays, rest = args[:count], args[count:]
            options |= dict(zip(names, rest, strict=False))
            graph = _traced_in(arrays, options)
            if graph is not None:
                held_here = functools.partial(_held, graph)
                return method(self, *tree_map(held_here, arrays), **options)
            return compiled(arrays, tuple((k, _hashable(v)) for k, v in options.items()))

        return call

    return decorate


def _traced_in(arrays: Tree, options: Mapping[str, Any]) -> Graph | None:
    """The graph to which an operation belongs: its values', or that of an extent among options."""
    leaves = flatten([arrays, list(options.values())])[0]
    graphs = [leaf.graph for leaf in leaves if isinstance(leaf, (Value, Size))]
    return max(graphs, key=lambda graph: graph.depth) if graphs else None


def _held(graph: Graph, leaf: Any) -> Any:
    """A host array as a constant of the graph."""
    return held(graph, leaf) if is_array(leaf) else leaf


def _hashable(option: Any) -> Any:
    return tuple(option) if isinstance(option, list) else option


def _key(leaf: Any) -> Any:
    return (leaf.dtype, leaf.shape, lies_flipped(leaf)) if is_array(leaf) else leaf


def lies_flipped(x: Any) -> bool:
    """Whether a matrix lies in memory as its transpose does."""
    return x.ndim == 2 and x.flags.f_contiguous and not x.flags.c_contiguous  # noqa: PLR2004 - a matrix


@final
class _Program:
    """One graph, ready to run."""

    def __init__(
        self,
        f: Callable[..., Tree],
        args: Sequence[Any],
        static: Sequence[int],
        threads: int | None,
    ) -> None:
        graph = Graph()
        values = [
            arg if i in static else tree_map(lambda x: _input(graph, x), arg)
            for i, arg in enumerate(args)
        ]
        result = f(*values)
        computed = [x for x in flatten(result)[0] if isinstance(x, Value)]
        # a result that is an argument, or is there twice, needs a name of its own
        outputs = [node("Identity", [x], x.dtype, x.shape) for x in computed]
        self.heavy = sum(x.nbytes for x in graph.constants.values()) >= _HEAVY
        self._names = [value.name for value in graph.inputs]
        self._session = session_of(graph, outputs, threads) if outputs else None
        places = iter(range(len(outputs)))
        self._result = tree_map(
            lambda x: next(places) if isinstance(x, Value) else _Kept(x), result
        )

    def __call__(self, leaves: Sequence[Any]) -> Tree:
        """The results for arguments of the same structure."""
        arrays = [handed_over(x) for x in leaves if is_array(x)]
        found: Sequence[Any] = []
        if self._session is not None:
            found = self._session.run(None, dict(zip(self._names, arrays, strict=True)))
        return tree_map(lambda x: x.copy() if isinstance(x, _Kept) else found[x], self._result)


@final
class _Kept:
    """A result that does not depend on the arguments."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def copy(self) -> Any:
        """The caller's own."""
        return np.array(self.value) if is_array(self.value) else self.value


def _input(graph: Graph, leaf: Any) -> Any:
    if not is_array(leaf):
        return leaf
    flipped = lies_flipped(leaf)
    value = graph.input(leaf.dtype, leaf.shape[::-1] if flipped else leaf.shape)
    return transposed(value) if flipped else value


def handed_over(x: NDArray[Any]) -> NDArray[Any]:
    """An array as ONNX Runtime gets it: row by row, copied only if it must be."""
    return np.asarray(x.T if lies_flipped(x) else x, order="C")
