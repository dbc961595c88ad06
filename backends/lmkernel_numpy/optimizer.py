"""Adam and the global norm in place, in blocks that stay in the processor's cache.

Constraint: a gradient may be a read-only or transposed view, so it is only read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Self

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
    with np.errstate(over="ignore"):  # the result is infinite, which says so
        return np.asarray(np.sqrt(sum(float(np.dot(x, x)) for x in flat)), wide)


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
    own = [[np.require(x, None, ("C", "W")) for x in xs] for xs in (params, first, second)]
    scratch = np.empty(_room(params), params[0].dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # the trainer checks for finite numbers
        for p, m, v, g, decay in zip(*own, grads, decays, strict=True):
            factors = _Factors.of(scalars, beta1, beta2, eps, decay).cast(p.dtype.type)
            for block in _blocks(p, g, m, v):
                _step(*block, scratch[: block[0].size].reshape(block[0].shape), factors)
    return own[0], own[1], own[2]


class _Factors(NamedTuple):
    """√(s·v) + ε is √s·(√v + ε/√s); √s goes into the stride, so that v is scaled nowhere."""

    beta1: Any
    fresh: Any
    beta2: Any
    square: Any
    eps: Any
    stride: Any
    keep: Any

    @classmethod
    def of(
        cls, scalars: Mapping[str, Array], beta1: float, beta2: float, eps: float, decay: float
    ) -> Self:
        rate, root = float(scalars["rate"]), math.sqrt(float(scalars["second_scale"]))
        return cls(
            beta1=beta1,
            fresh=(1 - beta1) * float(scalars["grad_scale"]),
            beta2=beta2,
            square=(1 - beta2) / (1 - beta1) ** 2,
            eps=eps / root,
            stride=rate * float(scalars["first_scale"]) / root,
            keep=1 - rate * decay,
        )

    def cast(self, kind: type) -> Self:
        return type(self)(*map(kind, self))


def _step(p: Array, g: Array, m: Array, v: Array, x: Array, f: _Factors) -> None:
    """One block; ``x`` is scratch."""
    np.multiply(g, f.fresh, out=x)
    m *= f.beta1
    m += x
    x *= x
    x *= f.square
    v *= f.beta2
    v += x
    np.sqrt(v, out=x)
    x += f.eps
    np.divide(m, x, out=x)
    x *= f.stride
    if f.keep != 1:
        p *= f.keep
    p -= x


def _room(params: Sequence[Array]) -> int:
    """Elements of the largest block."""
    widths: list[int] = [math.prod(x.shape[1:]) for x in params]
    return max(_BLOCK, *widths)


def _blocks(p: Array, g: Array, m: Array, v: Array) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Runs of elements where all lie alike, else whole rows."""
    shape = (-1,) if g.flags.c_contiguous else (len(p), -1)
    views = [x.reshape(shape) for x in (p, g, m, v)]
    step = max(1, _BLOCK // math.prod(views[0].shape[1:]))
    for start in range(0, len(views[0]), step):
        p, g, m, v = (x[start : start + step] for x in views)
        yield p, g, m, v
