"""Disentangled attention (arXiv:2006.03654, §3): contents are scored, and contents with distances.

The score of query i and key j is q_i·k_j, plus q_i·K[d] and k_j·Q[d], where d is the distance from
j to i, and K and Q are the keys and queries of the vectors that distances have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from lmkernel.components.attention import join_heads, project_qkv, split_heads
from lmkernel.components.primitives import declare_linear
from lmkernel.config import DisentangledConfig
from lmkernel.interfaces import Attention, ParamTree, View, project

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.config import AttentionConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Factory

__all__ = ["DisentangledAttention"]


@final
class DisentangledAttention(Attention):
    """Attention of an encoder, without a cache and without a memory."""

    def __init__(self, ops: Ops, config: AttentionConfig, distances: DisentangledConfig) -> None:
        self._ops = ops
        self._config = config
        self._distances = distances

    @classmethod
    def build(cls, factory: Factory, config: AttentionConfig) -> Self:
        if not isinstance(config.relative, DisentangledConfig):
            raise TypeError("expected a DisentangledConfig")
        return cls(factory.ops, config, config.relative)

    def declare(self) -> ParamTree:
        c, d = self._config, self._distances
        inner = c.heads * c.head_dim

        def product() -> ParamTree:
            return declare_linear(inner, c.width, ("heads", "embed"), bias=c.bias)

        tree = {name: product() for name in ("q", "k", "v")}
        tree["o"] = declare_linear(c.width, inner, ("embed", "heads"), bias=c.out_bias)
        if d.own and d.queries:
            tree["distance_k"] = product()
        if d.own and d.keys:
            tree["distance_q"] = product()
        return tree

    def __call__(
        self,
        params: dict[str, Any],
        x: Array,
        view: View,
        *,
        memory: Tree = None,
        cache: Tree = None,
    ) -> tuple[Array, Tree]:
        if memory is not None or cache is not None or view.distances is None:
            raise TypeError("expected an encoder whose embedding has distances")
        ops, c = self._ops, self._config
        queries, keys, values = project_qkv(ops, x, params, c)
        bias = self._bias(params, queries, keys, view, view.distances)
        mixed = ops.attention(queries, keys, values, view.mask, scale=c.scale, bias=bias)
        return project(ops, join_heads(ops, mixed), params["o"]), None

    def remember(self, params: dict[str, Any], hidden: Array) -> Tree:
        del params, hidden
        raise TypeError("expected self-attention, got attention to a memory")

    def cache(self, batch: int, capacity: int, dtype: DType) -> Tree:
        del batch, capacity, dtype
        raise TypeError("expected an encoder, got a decoder")

    def _bias(
        self, params: dict[str, Any], queries: Array, keys: Array, view: View, table: Array
    ) -> Array:
        """The scores of distances, ``(batch, heads, time, slots)``."""
        ops, c, d = self._ops, self._config, self._distances
        rows = self._rows(view)
        vectors, bias = ops.reshape(table, (1, *table.shape)), None
        scale = ops.full((), c.scale, ops.dtype(queries))
        if d.queries:
            own = params["distance_k" if d.own else "k"]
            bias = self._scores(queries * scale, project(ops, vectors, own), rows, by_query=True)
        if d.keys:
            own = params["distance_q" if d.own else "q"]
            more = self._scores(keys * scale, project(ops, vectors, own), rows, by_query=False)
            bias = more if bias is None else bias + more
        return bias

    def _scores(self, x: Array, vectors: Array, rows: Array, *, by_query: bool) -> Array:
        """The product of each query, or key, with the vector of the pair's distance."""
        ops, (batch, heads, time, _) = self._ops, x.shape
        of_distances = ops.permute_dims(split_heads(ops, vectors, heads), (0, 1, 3, 2))
        every = ops.matmul(x, of_distances)  # with every distance, (batch, heads, time, buckets)
        buckets = every.shape[-1]
        # `take` has one list of indices, so all of it is one axis
        place = ops.arange(0, batch * heads * time, "int32") * ops.full((), buckets, "int32")
        lines = (batch, heads, time, 1) if by_query else (batch, heads, 1, time)
        chosen = ops.reshape(rows, (batch, 1, time, time)) + ops.reshape(place, lines)
        return ops.take(ops.reshape(every, (-1,)), chosen, 0)

    def _rows(self, view: View) -> Array:
        """The row of the table for each query and key, ``(batch, time, slots)``."""
        ops, (batch, time) = self._ops, view.query_positions.shape
        behind = ops.reshape(view.query_positions, (batch, time, 1)) - ops.reshape(
            view.key_positions, (batch, 1, time)
        )
        table = _table(self._distances.span, self._distances.context)
        most = len(table) // 2
        first, last = (ops.full((), end, "int32") for end in (-most, most))
        shifted = ops.minimum(ops.maximum(behind, first), last) + last
        return ops.take(ops.asarray(table, "int32"), shifted, 0)


def _table(span: int, context: int) -> NDArray[np.int32]:
    """The row of each distance, from the farthest key after the query to the farthest before."""
    most = max(span, context)
    behind = np.arange(-most, most + 1)
    if context:
        middle, far = span // 2, np.abs(behind)
        # single precision decides, as in the models' own code, where a distance is at a boundary
        growth = np.log(np.maximum(far, middle).astype(np.float32) / np.float32(middle))
        whole = np.log(np.float32((context - 1) / middle))
        steps = np.ceil(growth / whole * np.float32(middle - 1)).astype(np.int32) + middle
        behind = np.where(far <= middle, behind, steps * np.sign(behind))
    return np.clip(behind + span, 0, 2 * span - 1).astype(np.int32)
