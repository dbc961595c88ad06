"""One vector of a row by attention: a learned query looks at every position, a network follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.components.attention import join_heads, split_heads
from lmkernel.components.layer import declare_mlp, mlp
from lmkernel.components.positions import visible
from lmkernel.components.primitives import declare_linear, declare_norm, normalize
from lmkernel.interfaces import Init, Param, ParamTree, project

if TYPE_CHECKING:
    from lmkernel.config import AttentionPoolConfig
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["attention_pool", "declare_pool"]

_NORMAL = Init("normal", 0.02)


def declare_pool(width: int, config: AttentionPoolConfig) -> ParamTree:
    """``{"probe" (1, width), "q", "k", "v", "o", "norm", "mlp"}``."""
    axes = dict.fromkeys(("q", "k", "v"), ("heads", "embed")) | {"o": ("embed", "heads")}
    return {
        "probe": {"weight": Param((1, width), _NORMAL, ("query", "embed"))},
        **{name: declare_linear(width, width, own, bias=True) for name, own in axes.items()},
        "norm": declare_norm(width, config.norm),
        "mlp": declare_mlp(width, config.mlp),
    }


def attention_pool(
    ops: Ops, x: Array, params: dict[str, Any], config: AttentionPoolConfig, positions: Array
) -> Array:
    """``(batch, time, width) -> (batch, width)``; ``positions (batch, time)`` is -1 at padding."""
    batch, _, width = x.shape
    probe = ops.reshape(params["probe"]["weight"], (1, 1, width))
    queries = project(ops, ops.broadcast_to(probe, (batch, 1, width)), params["q"])
    products = (queries, project(ops, x, params["k"]), project(ops, x, params["v"]))
    q, k, v = (split_heads(ops, part, config.heads) for part in products)
    mask = visible(ops, positions[:, :1], positions, causal=False)
    scale = (width // config.heads) ** -0.5
    mixed = join_heads(ops, ops.attention(q, k, v, mask, scale=scale, softcap=None, bias=None))
    y = project(ops, mixed, params["o"])
    y = y + mlp(ops, normalize(ops, y, params["norm"], config.norm), params["mlp"], config.mlp)
    return ops.reshape(y, (batch, width))
