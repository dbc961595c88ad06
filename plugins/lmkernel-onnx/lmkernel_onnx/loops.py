"""`scan`, as a loop of ONNX with a graph of its own for one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.contract.trees import tree_map
from lmkernel_onnx.graph import Graph
from lmkernel_onnx.tracing import flatten
from lmkernel_onnx.values import Value, nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.contract.mandatory import Tree

__all__ = ["traced_scan"]


def traced_scan(
    f: Callable[[Tree, Tree], tuple[Tree, Tree]], init: Tree, xs: Tree, *, reverse: bool
) -> tuple[Tree, Tree]:
    """`MandatoryOps.scan` while a function is traced; some leaf is a value."""
    before, columns = flatten(init)[0], flatten(xs)[0]
    outer = max((x.graph for x in before + columns if isinstance(x, Value)), key=lambda g: g.depth)
    body = Graph(outer)
    carry = tree_map(lambda x: body.input(x.dtype, x.shape), init)
    step = tree_map(lambda x: body.input(x.dtype, x.shape[1:]), xs)
    after, rows = f(carry, step)
    made = flatten(after)[0] + flatten(rows)[0]
    # what comes from outside, or is there twice, needs a name of the body's own
    results = [_of(body, x) for x in made]
    length = columns[0].shape[0]
    shapes = [x.shape if i < len(before) else (length, *x.shape) for i, x in enumerate(results)]
    way, count = [int(reverse)], len(results) - len(before)
    found = iter(
        nodes(
            "Scan",
            before + columns,
            [(x.dtype, shape) for x, shape in zip(results, shapes, strict=True)],
            body=body.proto("step", results),
            num_scan_inputs=len(columns),
            scan_input_directions=way * len(columns),
            scan_output_directions=way * count,
        )
    )
    return tree_map(lambda _: next(found), after), tree_map(lambda _: next(found), rows)


def _of(body: Graph, x: Any) -> Value:
    host = not isinstance(x, Value)
    name = body.constant(np.asarray(x)) if host else x.name
    return Value(body, body.add("Identity", [name])[0], x.dtype, tuple(x.shape))
