"""Runs an optimizer on the default backend for tests: host arrays in, host arrays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.interfaces import Init, Param
from lmkernel.plugins import OptimizerSpec, Registry
from lmkernel.training import plugin

if TYPE_CHECKING:
    from lmkernel.training.config import OptimizerConfig
    from lmkernel.training.step.optimizers import Optimizer

BACKEND = load_backend("numpy")
OPS = BACKEND.ops
REGISTRY = Registry({"training": plugin})

Arrays = dict[str, Any]


def declared(**shapes: tuple[int, ...]) -> dict[str, Param]:
    """Parameters by name; an underscore in a name is a dot."""
    return {
        name.replace("_", "."): Param(shape, Init("ones"), ("wide", "embed")[: len(shape)])
        for name, shape in shapes.items()
    }


def made(config: OptimizerConfig, parameters: dict[str, Param]) -> Optimizer:
    """Built as it is registered."""
    kind = REGISTRY.get(OptimizerSpec, config.kind).resolve()
    built: Optimizer = kind.build(OPS, config, parameters)
    return built


def native(tree: Any) -> Any:
    """float64 arrays of a tree of dicts."""
    if isinstance(tree, dict):
        return {name: native(child) for name, child in tree.items()}
    return OPS.asarray(np.asarray(tree), "float64")


def run(
    optimizer: Optimizer,
    params: Arrays,
    grads: list[Arrays],
    *,
    rate: float = 0.1,
    scale: float = 1.0,
    state: Any = None,
    first: int = 1,
) -> tuple[Arrays, Any]:
    """One step for each of ``grads``; the new parameters and the state."""
    values = native(params)
    state = optimizer.init(values) if state is None else state
    for step, gradient in enumerate(grads, first):
        scalars = native({**optimizer.scalars(step, rate), "grad_scale": scale})
        values, state = optimizer.update(values, native(gradient), state, scalars)
    return values, state
