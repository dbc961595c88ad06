"""Adam and the global norm in place, in blocks that stay in the processor's cache.

Constraint: a gradient may be a read-only or transposed view, so it is only read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lmkernel.contract.mandatory import Array

__all__ = ["adam_update", "global_norm"]

_BLOCK = 32768
"""Elements that are worked on together."""


def global_norm(arrays: Sequence[Array]) -> Array:
    """One product of each array with itself, in the order in which it lies in memory."""
    wide = np.result_type(np.float32, arrays[0].dtype)
    flat = [np.asarray(x.ravel(order="K"), wide) for x in arrays]
    return np.asarray(math.sqrt(sum(float(np.dot(x, x)) for x in flat)), wide)


def adam_update(
    params: Sequence[Array],
    grads: Sequence[Array],
    first: Sequence[Array],
    second: Sequence[Array],
    scalars: Mapping[str, Array],
    *,
    beta1: float,
    beta2: float,
    eps: float,
    decays: Sequence[float],
) -> tuple[list[Array], list[Array], list[Array]]:
    """What is the same for all elements is worked out once, in float64."""
    rate, scale, root = (float(scalars[n]) for n in ("rate", "grad_scale", "second_scale"))
    root = math.sqrt(root)
    fresh = (1 - beta1) * scale
    stride = rate * float(scalars["first_scale"]) / root
    square = (1 - beta2) / (1 - beta1) ** 2
    factors = (fresh, beta1, square, beta2, eps / root, stride)
    own = [[np.require(x, None, ("C", "W")) for x in xs] for xs in (params, first, second)]
    scratch = np.empty(_room(params), params[0].dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # who wants finite numbers looks for them
        for p, m, v, g, decay in zip(*own, grads, decays, strict=True):
            keep = 1 - rate * decay
            typed = tuple(map(p.dtype.type, (*factors, keep)))
            for block in _blocks(p, g, m, v):
                part = scratch[: block[0].size].reshape(block[0].shape)
                _step(*block, part, *typed)
    return own[0], own[1], own[2]


def _step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    x: Array,
    fresh: Any,
    beta1: Any,
    square: Any,
    beta2: Any,
    eps: Any,
    stride: Any,
    keep: Any,
) -> None:
    """One block; ``x`` is scratch. √(s·v) + ε is √s·(√v + ε/√s), and √s is in ``stride``."""
    np.multiply(g, fresh, out=x)
    m *= beta1
    m += x
    x *= x
    x *= square
    v *= beta2
    v += x
    np.sqrt(v, out=x)
    x += eps
    np.divide(m, x, out=x)
    x *= stride
    if keep != 1:
        p *= keep
    p -= x


def _room(params: Sequence[Array]) -> int:
    """Elements of the largest block."""
    return max([_BLOCK, *(x[0].size for x in params if x.ndim > 1)])


def _blocks(p: Array, g: Array, m: Array, v: Array) -> Iterator[list[Array]]:
    """Runs of elements where all lie alike, else whole rows."""
    shape = (-1,) if g.flags.c_contiguous else (len(p), -1)
    views = [x.reshape(shape) for x in (p, g, m, v)]
    step = max(1, _BLOCK // math.prod(views[0].shape[1:]))
    for start in range(0, len(views[0]), step):
        yield [x[start : start + step] for x in views]
