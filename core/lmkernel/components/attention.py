"""Multi-head attention: grouped queries, RoPE, a KV cache, and cross-attention to a memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.components.primitives import declare_linear, declare_norm, normalize
from lmkernel.components.recent import keep
from lmkernel.components.sinks import with_sinks
from lmkernel.interfaces import Attention, Init, Param, ParamTree, View, project

if TYPE_CHECKING:
    from lmkernel.config import AttentionConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Factory

__all__ = ["MultiHeadAttention", "join_heads", "project_qkv", "split_heads"]


def split_heads(ops: Ops, x: Array, heads: int) -> Array:
    """``(batch, time, heads · head_dim) -> (batch, heads, time, head_dim)``."""
    batch, time, width = x.shape
    if time == 1:  # in decoding, swapping an axis of one element is a reshape, which moves nothing
        return ops.reshape(x, (batch, heads, 1, width // heads))
    return ops.permute_dims(ops.reshape(x, (batch, time, heads, width // heads)), (0, 2, 1, 3))


def join_heads(ops: Ops, x: Array) -> Array:
    """``(batch, heads, time, head_dim) -> (batch, time, heads · head_dim)``."""
    batch, heads, time, head_dim = x.shape
    ordered = x if time == 1 else ops.permute_dims(x, (0, 2, 1, 3))
    return ops.reshape(ordered, (batch, time, heads * head_dim))


def project_qkv(
    ops: Ops,
    x: Array,
    params: dict[str, Any],
    config: AttentionConfig,
    rotation: tuple[Array, Array] | None = None,
) -> tuple[Array, Array, Array]:
    """Queries, keys and values by heads, with RoPE applied to queries and keys.

    Args:
        ops: the backend's operations.
        x: ``(batch, time, width)``.
        params: as declared, or packed with one ``"qkv"``.
        config: the attention's configuration.
        rotation: cosines and sines of the positions; None without RoPE.

    Returns:
        ``(batch, heads, time, head_dim)``, and twice ``(batch, kv_heads, time, head_dim)``.
    """
    heads, kv_heads, norm = config.heads, config.kv_heads, config.qk_norm
    if "qkv" in params and not config.qk_norm_whole:
        # q, k and v lie one after the other along the heads: one product, one split, and slices
        fused = split_heads(ops, project(ops, x, params["qkv"]), heads + 2 * kv_heads)
        both, values = fused[:, : heads + kv_heads], fused[:, heads + kv_heads :]
        # RoPE acts on each head alike, so queries and keys turn in one call. With a norm of queries
        # and keys that has to wait: each has its own weight, and is applied before the rotation.
        if rotation is not None and norm is None:
            both, rotation = turn(ops, both, rotation, config), None
        queries, keys = both[:, :heads], both[:, heads:]
    else:
        q, k, v = _products(ops, x, params, config)
        if norm is not None and config.qk_norm_whole:
            q = normalize(ops, q, params["q_norm"], norm)
            k, norm = normalize(ops, k, params["k_norm"], norm), None
        queries = split_heads(ops, q, heads)
        keys, values = split_heads(ops, k, kv_heads), split_heads(ops, v, kv_heads)
    if norm is not None:
        queries = normalize(ops, queries, params["q_norm"], norm)
        keys = normalize(ops, keys, params["k_norm"], norm)
    if rotation is not None:
        queries, keys = (turn(ops, part, rotation, config) for part in (queries, keys))
    return queries, keys, values


def _products(
    ops: Ops, x: Array, params: dict[str, Any], config: AttentionConfig
) -> tuple[Array, Array, Array]:
    """Queries, keys and values before they are split into heads."""
    if "qkv" not in params:
        q, k, v = (project(ops, x, params[name]) for name in ("q", "k", "v"))
        return q, k, v
    fused = project(ops, x, params["qkv"])
    first = config.heads * config.head_dim
    second = first + config.kv_heads * config.head_dim
    return fused[..., :first], fused[..., first:second], fused[..., second:]


def turn(ops: Ops, heads: Array, rotation: tuple[Array, Array], config: AttentionConfig) -> Array:
    """RoPE applied to ``(batch, heads, time, head_dim)``."""
    if config.interleaved:
        # Neighbours are brought half a head apart. Queries and keys are reordered alike, so that
        # their products are the same, and nothing need be put back.
        size = config.interleaved
        pairs = ops.reshape(heads[..., :size], (*heads.shape[:-1], size // 2, 2))
        halves = ops.reshape(ops.permute_dims(pairs, (0, 1, 2, 4, 3)), (*heads.shape[:-1], size))
        rest = [heads[..., size:]] if size < heads.shape[-1] else []
        heads = ops.concat([halves, *rest], -1)
    return ops.rotate(heads, *rotation)


@final
class MultiHeadAttention(Attention):
    """softmax(q·kᵀ·scale)·v for each head (arXiv:1706.03762, §3.2; grouped: arXiv:2305.13245)."""

    def __init__(self, ops: Ops, config: AttentionConfig) -> None:
        self._ops = ops
        self._config = config
        self.recent = config.window is not None or config.sinks

    @classmethod
    def build(cls, factory: Factory, config: AttentionConfig) -> Self:
        return cls(factory.ops, config)

    def declare(self) -> ParamTree:
        c = self._config
        q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
        # q of cross-attention reads another input than k and v, so it cannot be fused with them
        width, fuse = (c.memory_width, "kv") if c.memory_width else (c.width, "qkv")
        # and nothing is fused of which one part has a bias and another has not
        fuse = fuse if c.key_bias or not c.bias else ""
        own, key_bias = "" if c.memory_width else fuse, c.bias and c.key_bias
        tree = {
            "q": declare_linear(q, c.width, ("heads", "embed"), bias=c.bias, fuse=own),
            "k": declare_linear(kv, width, ("kv", "embed"), bias=key_bias, fuse=fuse),
            "v": declare_linear(kv, width, ("kv", "embed"), bias=c.bias, fuse=fuse),
            "o": declare_linear(c.width, q, ("embed", "heads"), bias=c.out_bias),
        }
        if c.qk_norm is not None:
            tree["q_norm"] = declare_norm(q if c.qk_norm_whole else c.head_dim, c.qk_norm)
            tree["k_norm"] = declare_norm(kv if c.qk_norm_whole else c.head_dim, c.qk_norm)
        if c.gated:
            tree["gate"] = declare_linear(q, c.width, ("heads", "embed"), bias=c.bias)
        if c.sinks:
            tree["sinks"] = Param((c.heads,), Init("zeros"), ("heads",))
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
        ops, c = self._ops, self._config
        options: dict[str, Any] = {"scale": c.scale, "softcap": c.softcap, "bias": view.bias}
        if (
            memory is not None
        ):  # cross-attention: keys and values come from `remember`, without RoPE
            queries = split_heads(ops, project(ops, x, params["q"]), c.heads)
            mixed = ops.attention(queries, memory["keys"], memory["values"], view.mask, **options)
            return project(ops, join_heads(ops, mixed), params["o"]), cache
        queries, keys, values = project_qkv(ops, x, params, c, view.rotation)
        if cache is not None and view.kept is not None:
            keys = ops.concat([cache["recent_keys"], keys], 2)
            values = ops.concat([cache["recent_values"], values], 2)
            kept = (("recent_keys", keys), ("recent_values", values))
            cache = {name: keep(ops, x, view.kept) for name, x in kept}
            # those that no step has filled yet are not looked at
            seen = view.key_positions.shape[1]
            keys, values = keys[:, :, -seen:], values[:, :, -seen:]
        if cache is None or view.kept is not None:
            mask = view.mask
            if c.sinks:
                keys, values, mask, options["bias"] = with_sinks(
                    ops, keys, values, mask, view.bias, params["sinks"]
                )
            mixed = ops.attention(queries, keys, values, mask, **options)
        else:
            # appended first: a position attends to itself, too
            cache = ops.cache_append(cache, keys, values, view.start)
            mixed = ops.cache_attend(cache, queries, view.mask, extent=view.extent, **options)
        joined = join_heads(ops, mixed)
        if c.gated:
            joined = joined * ops.sigmoid(project(ops, x, params["gate"]))
        return project(ops, joined, params["o"]), cache

    def remember(self, params: dict[str, Any], hidden: Array) -> Tree:
        ops, c = self._ops, self._config
        if "kv" in params:
            both = project(ops, hidden, params["kv"])
            half = c.kv_heads * c.head_dim
            keys, values = both[..., :half], both[..., half:]
        else:
            keys, values = (project(ops, hidden, params[name]) for name in ("k", "v"))
        return {
            "keys": split_heads(ops, keys, c.kv_heads),
            "values": split_heads(ops, values, c.kv_heads),
        }

    def cache(self, batch: int, capacity: int, dtype: DType) -> Tree:
        c = self._config
        if self.recent:
            shape = (batch, c.kv_heads, min(capacity, c.window or capacity), c.head_dim)
            return {
                name: self._ops.full(shape, 0.0, dtype) for name in ("recent_keys", "recent_values")
            }
        return self._ops.cache_create(batch, c.kv_heads, c.head_dim, capacity, dtype)
