"""Initial values: one seed gives the same bits on every backend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lmkernel.parameters.names import flatten
from lmkernel.random import normals, uniforms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.interfaces import Param, ParamTree

__all__ = ["initial_values"]


def initial_values(declared: ParamTree, seed: int) -> dict[str, NDArray[np.float32]]:
    """A float32 host array for each declared parameter, by dotted name.

    Each parameter draws from a stream of its own, keyed by the seed and its name, so that adding
    one parameter moves no other.
    """
    return {name: _value(param, seed, name) for name, param in flatten(declared).items()}


def _value(param: Param, seed: int, name: str) -> NDArray[np.float32]:
    init, count = param.init, math.prod(param.shape)
    if init.kind in ("zeros", "ones"):
        value = init.scale if init.kind == "ones" else 0.0
        return np.full(param.shape, value, np.float32)
    purpose = f"init.{name}"
    if init.kind == "normal":
        draws = normals(seed, purpose, count) * init.scale
    else:
        draws = (uniforms(seed, purpose, count) * 2 - 1) * _limit(param)
    return draws.astype(np.float32).reshape(param.shape)


def _limit(param: Param) -> float:
    if param.init.kind == "uniform":
        return param.init.scale
    out, into = param.shape
    return math.sqrt(6 / (out + into)) * param.init.scale
