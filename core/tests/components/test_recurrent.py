"""A mapping's order decides nothing: frameworks sort keys, or keep them, as they like."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.config import RecurrentConfig
from lmkernel.contract.trees import tree_map
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import Embedded
from lmkernel.parameters import flatten, nest


def reverse_mappings(tree: Any) -> Any:
    """The same tree, every mapping in the opposite order."""
    if isinstance(tree, dict):
        return {name: reverse_mappings(tree[name]) for name in reversed(tree)}
    return [reverse_mappings(child) for child in tree] if isinstance(tree, list) else tree


def test_order_of_directions_and_parameters_decides_nothing() -> None:
    backend = load_backend()
    ops = backend.ops
    config = RecurrentConfig(input_width=3, width=4, layers=2, cell="lstm", bidirectional=True)
    encoder = ComponentFactory(backend).create("encoder", config)
    generator = np.random.default_rng(5)
    declared = encoder.declare()
    values = {name: generator.normal(size=p.shape) for name, p in flatten(declared).items()}
    state = [
        {way: {n: generator.normal(size=(2, 4)) for n in ("h", "c")} for way in ways}
        for ways in [("forward", "backward")] * 2
    ]
    x = generator.normal(size=(2, 5, 3))

    def run(params: Any, states: Any) -> np.ndarray:
        def native(tree: Any) -> Any:
            return tree_map(lambda leaf: ops.asarray(leaf, "float64"), tree)

        with backend.scope():
            positions = ops.asarray([[0, 1, 2, 3, 4], [-1, -1, 0, 1, 2]], "int32")
            inputs = Embedded(ops.asarray(x, "float64"), positions)
            memory = encoder(native(params), inputs, state=native(states))
            return np.concatenate(
                [ops.to_numpy(memory.hidden).ravel(), ops.to_numpy(memory.state[1]["h"]).ravel()]
            )

    params = nest(declared, values)
    np.testing.assert_array_equal(
        run(params, state), run(reverse_mappings(params), reverse_mappings(state))
    )
