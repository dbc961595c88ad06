"""Attention whose scores fall with distance, so that no positions are embedded (arXiv:2108.12409).

Constraint: distances come from positions, not from slots, so padding and a KV cache change nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.components.attention import MultiHeadAttention
from lmkernel.contract.capabilities import WIDE
from lmkernel.interfaces import Attention, ParamTree, View

if TYPE_CHECKING:
    from lmkernel.config import AttentionConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Factory

__all__ = ["AlibiAttention", "slopes"]


def slopes(heads: int) -> list[float]:
    """The slope by which the scores of each head fall with distance (§3).

    For a power of two n they are 2^(-8/n), 2^(-16/n), … 2^-8. Other counts take those of the power
    below, and then every second one of the power above (as the authors' code does).
    """
    n = 2 ** (heads.bit_length() - 1)
    first = [2 ** (-8 * i / n) for i in range(1, n + 1)]
    between = [2 ** (-4 * i / n) for i in range(1, 2 * n, 2)]
    return first + between[: heads - n]


@final
class AlibiAttention(Attention):
    """softmax(scale · q·kᵀ - slope · |i - j|) · v for each head; cross-attention has no slope."""

    def __init__(self, ops: Ops, heads: int, plain: MultiHeadAttention) -> None:
        self._ops = ops
        self._slopes = slopes(heads)
        self._plain = plain

    @classmethod
    def build(cls, factory: Factory, config: AttentionConfig) -> Self:
        """Build it around multi-head attention, whose parameters and KV cache it shares."""
        return cls(factory.ops, config.heads, MultiHeadAttention.build(factory, config))

    def declare(self) -> ParamTree:
        """The parameters of multi-head attention; the slopes are not learned."""
        return self._plain.declare()

    def __call__(
        self,
        params: dict[str, Any],
        x: Array,
        view: View,
        *,
        memory: Tree = None,
        cache: Tree = None,
    ) -> tuple[Array, Tree]:
        """Multi-head attention with a bias; cross-attention without one."""
        if memory is None:
            view = replace(view, bias=self._bias(view, self._ops.dtype(x)))
        return self._plain(params, x, view, memory=memory, cache=cache)

    def remember(self, params: dict[str, Any], hidden: Array) -> Tree:
        """The keys and values of multi-head attention."""
        return self._plain.remember(params, hidden)

    def cache(self, batch: int, capacity: int, dtype: DType) -> Tree:
        """The KV cache of multi-head attention."""
        return self._plain.cache(batch, capacity, dtype)

    def _bias(self, view: View, dtype: DType) -> Array:
        """-slope · |i - j|, ``(batch, heads, time, slots)``, in float32 at least.

        16 bits have no room for distances: bfloat16 rounds 257 to 256.
        """
        ops, wide = self._ops, WIDE.get(dtype, dtype)
        batch, time = view.query_positions.shape
        slots = view.key_positions.shape[1]
        i = ops.reshape(view.query_positions, (batch, 1, time, 1))
        j = ops.reshape(view.key_positions, (batch, 1, 1, slots))
        steepness = ops.reshape(ops.asarray(self._slopes, wide), (-1, 1, 1))
        return ops.astype(ops.minimum(i - j, j - i), wide) * steepness
