"""Shapes of a configuration's parameters by dotted name, written apart from the core's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmkernel.config import (
        AttentionConfig,
        EmbeddingConfig,
        FeedForwardConfig,
        HeadConfig,
        ModelConfig,
        NormConfig,
        RecurrentConfig,
        TransformerConfig,
    )

__all__ = ["parameter_shapes"]

Shapes = dict[str, tuple[int, ...]]


def parameter_shapes(c: ModelConfig) -> Shapes:
    """The shape of every parameter of a model, by dotted name."""
    kinds: Any = {"transformer": _stack, "recurrent": _recurrent, "feed_forward": _dense}
    found = _embedding("embedding", c.embedding)
    for name in ("encoder", "decoder"):
        if (part := getattr(c, name)) is not None:
            found |= kinds[part.kind](name, part)
    if c.target_embedding is not None:
        found |= _embedding("target_embedding", c.target_embedding)
    return found | ({} if c.head is None else _head(c.head))


def _attention(at: str, c: AttentionConfig) -> Shapes:
    into, wide, narrow = c.memory_width or c.width, c.heads * c.head_dim, c.kv_heads * c.head_dim
    found = _linear(f"{at}.q", wide, c.width, bias=c.bias)
    found |= _linear(f"{at}.k", narrow, into, bias=c.bias)
    found |= _linear(f"{at}.v", narrow, into, bias=c.bias)
    if c.qk_norm is not None:
        found |= _norm(f"{at}.q_norm", c.qk_norm, c.head_dim)
        found |= _norm(f"{at}.k_norm", c.qk_norm, c.head_dim)
    return found | _linear(f"{at}.o", c.width, wide, bias=c.out_bias)


def _linear(at: str, out: int, into: int, *, bias: bool) -> Shapes:
    return {f"{at}.weight": (out, into), **({f"{at}.bias": (out,)} if bias else {})}


def _norm(at: str, c: NormConfig, width: int) -> Shapes:
    bias = {f"{at}.bias": (width,)} if c.kind == "layer" and c.bias else {}
    return {f"{at}.weight": (width,), **bias}


def _stack(name: str, c: TransformerConfig) -> Shapes:
    found: Shapes = {}
    for at in (f"{name}.layers.{i}" for i in range(c.layers)):
        found |= _attention(f"{at}.attention", c.attention)
        found |= _norm(f"{at}.attention_norm", c.norm, c.width)
        if c.cross is not None:
            found |= _attention(f"{at}.cross", c.cross) | _norm(f"{at}.cross_norm", c.norm, c.width)
        found |= _norm(f"{at}.mlp_norm", c.norm, c.width)
        for part in ("up", "gate") if c.mlp.gated else ("up",):
            found |= _linear(f"{at}.mlp.{part}", c.mlp.hidden, c.width, bias=c.mlp.bias)
        found |= _linear(f"{at}.mlp.down", c.width, c.mlp.hidden, bias=c.mlp.bias)
    return found | (_norm(f"{name}.norm", c.norm, c.width) if c.final_norm else {})


def _recurrent(name: str, c: RecurrentConfig) -> Shapes:
    rows, ways = (4 if c.cell == "lstm" else 3) * c.width, ("forward", "backward")
    found: Shapes = {}
    for i in range(c.layers):
        for way in ways[: 1 + c.bidirectional]:
            into = c.width * (1 + c.bidirectional) if i else c.input_width
            at = f"{name}.layers.{i}.{way}"
            found |= _linear(f"{at}.input", rows, into, bias=c.bias)
            found |= _linear(f"{at}.state", rows, c.width, bias=c.bias)
    return found


def _dense(name: str, c: FeedForwardConfig) -> Shapes:
    found: Shapes = {}
    for i in range(len(c.widths) - 1):
        found |= _linear(f"{name}.layers.{i}", c.widths[i + 1], c.widths[i], bias=c.bias)
    return found


def _embedding(name: str, c: EmbeddingConfig) -> Shapes:
    found: Shapes = {}
    if c.kind != "vectors":
        found[f"{name}.tokens.weight"] = (c.vocab, c.width)
    if c.positions == "learned":
        found[f"{name}.positions.weight"] = (c.context + c.offset, c.width)
    if c.segments:
        found[f"{name}.segments.weight"] = (c.segments, c.width)
    return found | ({} if c.norm is None else _norm(f"{name}.norm", c.norm, c.width))


def _head(c: HeadConfig) -> Shapes:
    found: Shapes = {} if c.tied else {"head.weight": (c.size, c.width)}
    found |= {"head.bias": (c.size,)} if c.bias else {}
    if c.transform is None:
        return found
    found |= _linear("head.transform", c.width, c.width, bias=c.transform.bias)
    norm = c.transform.norm
    return found | ({} if norm is None else _norm("head.norm", norm, c.width))
