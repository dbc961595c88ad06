"""Mixtures of experts cost what positions choose: multiplied rows are counted, nothing is timed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pytest

from lmkernel.backend import load_backend

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, INTO, OUT = 512, 8, 6
BLOCK = 32
"""JAX's rows of one expert come in blocks of so many, of which the last may be filled up."""


def arrays(experts: int) -> tuple[np.ndarray, ...]:
    """Rows, the experts' matrices, and which row uses which."""
    generator = np.random.default_rng(experts)
    x = generator.normal(size=(ROWS, INTO)).astype(np.float32)
    weight = generator.normal(size=(experts, OUT, INTO)).astype(np.float32)
    return x, weight, generator.integers(0, experts, ROWS).astype(np.int32)


def numpys(f: Callable[..., Any], given: tuple[Any, ...]) -> float:
    """Multiplications in NumPy's products."""
    counted, own = [], np.dot

    def dot(x: Any, y: Any) -> Any:
        counted.append(x.size * y.shape[-1])
        return own(x, y)

    with mock.patch.object(np, "dot", dot):
        f(*given)
    return float(sum(counted))


def torchs(f: Callable[..., Any], given: tuple[Any, ...]) -> float:
    """Multiplications as torch's own counter has them, which counts additions too."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        f(*given)
    return counter.get_total_flops() / 2


def jaxs(f: Callable[..., Any], given: tuple[Any, ...]) -> float:
    """Multiplications in what JAX traces, loops as often as they run, for the CPU."""
    import jax

    return float(_products(jax.make_jaxpr(f)(*given).jaxpr))


def _products(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        given = equation.params
        if equation.primitive.name == "dot_general":
            (summed, _), _ = given["dimension_numbers"]
            sizes = equation.invars[0].aval.shape
            total += math.prod(equation.outvars[0].aval.shape) * math.prod(sizes[i] for i in summed)
        elif equation.primitive.name == "cond":  # the first branch is the CPU's
            total += _products(given["branches"][0].jaxpr)
        else:
            inner = [value for value in given.values() if hasattr(value, "jaxpr")]
            total += given.get("length", 1) * sum(_products(value.jaxpr) for value in inner)
    return total


COUNTERS = {"numpy": numpys, "torch": torchs, "jax": jaxs}


@pytest.mark.parametrize("backend", COUNTERS)
@pytest.mark.parametrize("experts", [4, 16, 64])
def test_a_row_is_multiplied_by_its_own_expert(backend: str, experts: int) -> None:
    with load_backend(backend) as loaded:
        ops = loaded.ops
        x, weight, which = arrays(experts)
        given = (
            ops.asarray(x, "float32"),
            ops.asarray(weight, "float32"),
            ops.asarray(which, "int32"),
        )
        rows = COUNTERS[backend](ops.expert_linear, given) / (INTO * OUT)
    filled = experts * BLOCK if backend == "jax" else 0
    assert ROWS <= rows <= ROWS + filled, f"expected {ROWS} rows and {filled} at most, got {rows}"
