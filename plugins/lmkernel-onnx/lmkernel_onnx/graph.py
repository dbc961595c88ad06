"""A graph of ONNX that grows node by node."""

from __future__ import annotations

import itertools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lmkernel_onnx.sizes import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel_onnx.values import Value

__all__ = ["MICROSOFT", "OPSET", "Graph", "model_of", "outside"]

OPSET = 21
"""The version of ONNX's operators that graphs are written in."""
MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""
_IR = 10
_SMALL = 16
"""Elements of arrays that are compared by what they hold."""
_LONG = np.dtype(np.int64)


@final
class Graph:
    """Nodes, inputs and constants.

    Args:
        outer: the graph that this one is the body of a loop in; its values may be used here.
    """

    def __init__(self, outer: Graph | None = None) -> None:
        self.outer = outer
        self.depth: int = outer.depth + 1 if outer else 0
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[Value] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self._known: dict[Any, tuple[str, Any]] = {}
        self.numbers: itertools.count[int] = outer.numbers if outer else itertools.count()

    def name(self) -> str:
        """A name that nothing in this graph or around it has."""
        return f"v{next(self.numbers)}"

    def input(self, dtype: np.dtype[Any], shape: Sequence[int], name: str = "") -> Value:
        """A value that is handed over when the graph runs."""
        from lmkernel_onnx.values import Value  # values are made of graphs

        value = Value(self, name or self.name(), dtype, tuple(shape))
        self.inputs.append(value)
        return value

    def size(self, name: str, axis: int, example: int) -> Size:
        """The extent of an input along an axis, as a symbol."""
        return Size(example, self, lambda: self.add("Shape", [name], start=axis, end=axis + 1)[0])

    def constant(self, array: NDArray[Any], name: str = "") -> str:
        """The name of an array that the graph holds, one for each array."""
        small = array.size <= _SMALL
        key = (array.dtype, array.shape, array.tobytes()) if small else id(array)
        if key not in self._known:
            name = name or self.name()
            # of another array with the same id there can be none while this one is kept
            self._known[key] = (name, array)
            self.constants[name] = np.asarray(array, order="C")
        return self._known[key][0]

    def sizes(self, sizes: Sequence[int]) -> str:
        """The name of an int64 array of extents."""
        parts = [
            s.name if isinstance(s, Size) else self.constant(np.array([s], _LONG)) for s in sizes
        ]
        if len(parts) == 1:
            return parts[0]
        if any(isinstance(size, Size) for size in sizes):
            return self.add("Concat", parts, axis=0)[0]
        return self.constant(np.array(sizes, _LONG))

    def add(
        self, operator: str, inputs: Sequence[str], outputs: int = 1, **options: Any
    ) -> list[str]:
        """Append a node; returns the names of its results."""
        names = [self.name() for _ in range(outputs)]
        domain = options.pop("domain", "")
        self.nodes.append(helper.make_node(operator, inputs, names, domain=domain, **options))
        return names

    def proto(
        self,
        name: str,
        outputs: Sequence[Value],
        axes: Mapping[str, Sequence[int | str]] = MappingProxyType({}),
        tensor: Callable[[str, NDArray[Any]], onnx.TensorProto] | None = None,
    ) -> onnx.GraphProto:
        """The graph as ONNX has it, without the nodes that nothing needs.

        Args:
            name: of the graph.
            outputs: its results, in order.
            axes: the extents of inputs and results that have names, by their own name.
            tensor: makes what a constant is written as; by default its numbers.
        """
        nodes = _needed(self.nodes, {value.name for value in outputs})
        used = {name for each in nodes for name in _reads(each)}
        kept = {key: x for key, x in self.constants.items() if key in used}
        make = tensor or (lambda key, x: numpy_helper.from_array(x, key))
        ends = [[_info(v, axes.get(v.name)) for v in side] for side in (self.inputs, outputs)]
        return helper.make_graph(
            nodes, name, *ends, initializer=[make(key, x) for key, x in kept.items()]
        )


def _needed(nodes: Sequence[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    found = []
    for each in reversed(nodes):
        if wanted.intersection(each.output):
            found.append(each)
            wanted |= _reads(each)
    return found[::-1]


def _reads(node: onnx.NodeProto) -> set[str]:
    """The names of values that a node and the graphs inside it read."""
    inner = [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return {*node.input, *(name for body in inner for each in body.node for name in _reads(each))}


def _info(value: Value, axes: Sequence[int | str] | None) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_value_info(value.name, kind, axes or [int(n) for n in value.shape])


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    """A graph as a whole model."""
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="lmkernel")


def outside(name: str, array: NDArray[Any], **place: object) -> onnx.TensorProto:
    """A tensor whose numbers lie elsewhere: ``location``, and ``offset`` and ``length`` in it."""
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    elsewhere = onnx.TensorProto.EXTERNAL
    tensor = onnx.TensorProto(name=name, data_type=kind, dims=array.shape, data_location=elsewhere)
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor
