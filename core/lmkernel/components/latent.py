"""Multi-head latent attention (arXiv:2405.04434, §2.1): keys and values from one small vector.

Each position has a latent vector, of which every head makes its key and its value, and a key for
RoPE that all heads share. The KV cache keeps these two alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.components.attention import join_heads, split_heads, turn
from lmkernel.components.primitives import declare_linear, declare_norm, normalize
from lmkernel.components.recent import keep
from lmkernel.interfaces import Attention, ParamTree, View, project

if TYPE_CHECKING:
    from lmkernel.config import AttentionConfig, LatentConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Factory

__all__ = ["LatentAttention"]


@final
class LatentAttention(Attention):
    """Self-attention of a decoder; heads of queries have a plain part and one that RoPE turns."""

    recent = True

    def __init__(self, ops: Ops, config: AttentionConfig, latent: LatentConfig) -> None:
        self._ops = ops
        self._config = config
        self._latent = latent

    @classmethod
    def build(cls, factory: Factory, config: AttentionConfig) -> Self:
        if config.latent is None:
            raise TypeError("expected a LatentConfig")
        return cls(factory.ops, config, config.latent)

    def declare(self) -> ParamTree:
        c, d = self._config, self._latent
        queries, plain = c.heads * c.head_dim, c.head_dim - d.turned
        tree: dict[str, Any] = {}
        if d.query_rank:
            tree["q_down"] = declare_linear(d.query_rank, c.width, ("latent", "embed"), bias=c.bias)
            tree["q_norm"] = declare_norm(d.query_rank, d.norm)
            tree["q"] = declare_linear(queries, d.query_rank, ("heads", "latent"), bias=False)
        else:
            tree["q"] = declare_linear(queries, c.width, ("heads", "embed"), bias=False)
        down = d.rank + d.turned
        tree["kv_down"] = declare_linear(down, c.width, ("latent", "embed"), bias=c.bias)
        tree["kv_norm"] = declare_norm(d.rank, d.norm)
        both = c.heads * (plain + d.value_dim)
        tree["kv"] = declare_linear(both, d.rank, ("heads", "latent"), bias=False)
        values = c.heads * d.value_dim
        tree["o"] = declare_linear(c.width, values, ("embed", "heads"), bias=c.out_bias)
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
        if memory is not None:
            raise TypeError("expected self-attention, got attention to a memory")
        ops, c, d = self._ops, self._config, self._latent
        plain = c.head_dim - d.turned
        queries = self._queries(params, x, view)
        kept = self._kept(params, x, view)
        if cache is not None and view.kept is not None:
            both = ops.concat([cache["recent_latent"], kept], 2)
            cache = {"recent_latent": keep(ops, both, view.kept)}
            kept = both[:, :, -view.key_positions.shape[1] :]
        batch, _, slots, _ = kept.shape
        latents = ops.reshape(kept[..., : d.rank], (batch, slots, d.rank))
        made = split_heads(ops, project(ops, latents, params["kv"]), c.heads)
        shared = ops.broadcast_to(kept[..., d.rank :], (batch, c.heads, slots, d.turned))
        keys = ops.concat([made[..., :plain], shared], -1)
        options: dict[str, Any] = {"scale": c.scale, "softcap": c.softcap, "bias": view.bias}
        mixed = ops.attention(queries, keys, made[..., plain:], view.mask, **options)
        return project(ops, join_heads(ops, mixed), params["o"]), cache

    def _queries(self, params: dict[str, Any], x: Array, view: View) -> Array:
        """By heads, the part that RoPE turns last."""
        ops, c, d = self._ops, self._config, self._latent
        if d.query_rank:
            x = normalize(ops, project(ops, x, params["q_down"]), params["q_norm"], d.norm)
        heads, plain = (
            split_heads(ops, project(ops, x, params["q"]), c.heads),
            c.head_dim - d.turned,
        )
        return ops.concat([heads[..., :plain], self._turn(heads[..., plain:], view)], -1)

    def _kept(self, params: dict[str, Any], x: Array, view: View) -> Array:
        """What is kept of each position: its latent vector and its key for RoPE."""
        ops, d = self._ops, self._latent
        both = project(ops, x, params["kv_down"])
        latents = normalize(ops, both[..., : d.rank], params["kv_norm"], d.norm)
        keys = self._turn(split_heads(ops, both[..., d.rank :], 1), view)
        return ops.concat([split_heads(ops, latents, 1), keys], -1)

    def _turn(self, heads: Array, view: View) -> Array:
        if view.rotation is None:
            return heads
        return turn(self._ops, heads, view.rotation, self._config)

    def remember(self, params: dict[str, Any], hidden: Array) -> Tree:
        del params, hidden
        raise TypeError("expected self-attention, got attention to a memory")

    def cache(self, batch: int, capacity: int, dtype: DType) -> Tree:
        d = self._latent
        slots = min(capacity, self._config.window or capacity)
        return {"recent_latent": self._ops.full((batch, 1, slots, d.rank + d.turned), 0.0, dtype)}
