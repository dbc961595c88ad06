"""What one device holds and sends in a step of training, by formula.

Constraint: nothing is computed or started; all follows from the declared parameters, the rules by
which they lie on a mesh (`lmkernel.training.step.layout`) and the sizes of the batch. A ring of n
devices sends (n-1)/n of an array to gather it or to add up its parts, and twice that to do both
(P. Patarasuk and X. Yuan, J. Parallel Distrib. Comput. 69, 2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.training.step.layout import spec_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lmkernel.config import TransformerConfig
    from lmkernel.contract.distribution import Mesh
    from lmkernel.interfaces import Param

__all__ = ["Held", "Sent", "Work", "held", "sent"]

_WIDE = 4
"""Bytes of a parameter, a gradient and a moment: float32."""


@final
@dataclass(frozen=True, kw_only=True)
class Work:
    """A step of training.

    Args:
        declared: the model's parameters by dotted name.
        stack: its layers.
        vocab: classes that it tells apart at each position.
        mesh: how devices are arranged.
        batch: rows of a micro-batch, of all devices together.
        context: positions of a row.
        accumulate: micro-batches of a step.
        moments: arrays of a parameter's shape that the optimizer keeps.
        size: bytes of a number that is computed with.
    """

    declared: Mapping[str, Param]
    stack: TransformerConfig
    vocab: int
    mesh: Mesh
    batch: int
    context: int
    accumulate: int
    moments: int
    size: int

    @property
    def tokens(self) -> float:
        """Positions of a micro-batch on one device."""
        return self.batch * self.context / self.mesh.extent(self.mesh.rows)

    def numbers(self, *joined: str) -> int:
        """Numbers of all parameters on one device, with some axes of the mesh joined."""
        return sum(_numbers(self.mesh, name, p, joined) for name, p in self.declared.items())


@final
@dataclass(frozen=True, kw_only=True)
class Held:
    """Bytes on one device.

    Args:
        parameters, gradients, moments: of training.
        joined: the parts of others that a computation joins, besides its own.
        activations: what the backward pass needs of the forward one; an estimate.
        cache: keys and values of the batch's rows, when it answers rather than trains.
    """

    parameters: float
    gradients: float
    moments: float
    joined: float
    activations: float
    cache: float

    @property
    def training(self) -> float:
        """All of it but the cache."""
        return self.parameters + self.gradients + self.moments + self.joined + self.activations


@final
@dataclass(frozen=True, kw_only=True)
class Sent:
    """Bytes that one device sends in a step.

    Args:
        gradients: to add them up over rows.
        weights: to join the parts of weights, and to add up their gradients into parts.
        activations: between devices that share a layer.
    """

    gradients: float
    weights: float
    activations: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.gradients + self.weights + self.activations


def held(work: Work) -> Held:
    """What one device holds at most."""
    own, together = work.numbers(), work.numbers("fsdp")
    attention, model = work.stack.attention, work.mesh.extent(("model",))
    keys = 2 * work.stack.layers * attention.kv_heads * attention.head_dim / model
    return Held(
        parameters=_WIDE * own,
        gradients=_WIDE * own,
        moments=_WIDE * own * work.moments,
        joined=_WIDE * (together - own),
        activations=work.size * work.tokens * _kept(work, model),
        cache=work.size * work.tokens * keys,
    )


def _kept(work: Work, model: int) -> float:
    """Numbers that a position's backward pass needs of its forward one.

    In each layer the inputs of both norms and their outputs; queries, keys, values and what
    attention gives; the products of the feed-forward network and what comes of them. At the end the
    logits and their softmax. Scores are not kept: fused attention computes them again.
    """
    stack = work.stack
    heads, mlp = stack.attention, stack.mlp
    inner = 2 * heads.heads * heads.head_dim + 2 * heads.kv_heads * heads.head_dim
    products = (3 if mlp.gated else 2) * mlp.hidden
    return stack.layers * (4 * stack.width + (inner + products) / model) + 2 * work.vocab / model


def sent(work: Work) -> Sent:
    """What one device sends in a step."""
    mesh = work.mesh
    shards, model = mesh.extent(("fsdp",)), mesh.extent(("model",))
    divided = [n for n, p in work.declared.items() if "fsdp" in _axes(mesh, n, p)]
    joined = sum(_numbers(mesh, n, work.declared[n], ("fsdp",)) for n in divided)
    # once to join the parts, once to add up gradients into them, for every micro-batch
    weights = 2 * _ring(shards) * joined * _WIDE * work.accumulate
    # forward and backward, after attention and after the network, and at both ends (1909.08053, §3)
    crossings = 4 * work.stack.layers + 2
    each = 2 * _ring(model) * work.tokens * work.stack.width * work.size
    return Sent(
        gradients=sum(_added_up(mesh, name, p) for name, p in work.declared.items()),
        weights=weights,
        activations=crossings * each * work.accumulate,
    )


def _added_up(mesh: Mesh, name: str, param: Param) -> float:
    """Bytes of adding up a gradient over the axes of rows that it is not divided over."""
    left = [axis for axis in mesh.rows if axis not in _axes(mesh, name, param)]
    own = _numbers(mesh, name, param, ())
    return sum(2 * _ring(mesh.extent((axis,))) * own * _WIDE for axis in left)


def _numbers(mesh: Mesh, name: str, param: Param, joined: Iterable[str]) -> int:
    axes = [axis for axis in _axes(mesh, name, param) if axis not in joined]
    return math.prod(param.shape) // mesh.extent(axes)


def _axes(mesh: Mesh, name: str, param: Param) -> list[str]:
    """The axes of the mesh that a parameter is divided over."""
    return [axis for axes in spec_of(mesh, name, param) for axis in axes]


def _ring(count: int) -> float:
    return (count - 1) / count
