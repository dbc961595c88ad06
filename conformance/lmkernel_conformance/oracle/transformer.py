"""Transformer stacks, pre- and post-norm, with cross-attention where there is an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel_conformance.oracle.activation import activate
from lmkernel_conformance.oracle.attention import attention, visible
from lmkernel_conformance.oracle.norm import layer_norm, linear, rms_norm
from lmkernel_conformance.oracle.positions import rotate, rotation
from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["multi_head", "normalize", "stack"]

Host = Any


def _linear(ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str) -> Host:
    return linear(ar, x, p[f"{name}.weight"], p.get(f"{name}.bias"))


def normalize(ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str, config: Any) -> Host:
    """Layer or RMS normalisation; a family that stores w - 1 (Gemma) has an offset of 1."""
    weight = p[f"{name}.weight"] + config.offset
    if config.kind == "rms":
        return rms_norm(ar, x, weight, config.eps)
    return layer_norm(ar, x, weight, p.get(f"{name}.bias"), config.eps)


def _heads(ar: Arithmetic, x: Host, heads: int) -> Host:
    """``(batch, time, heads·size) -> (batch, heads, time, size)``."""
    batch, time, width = raw(x).shape
    return ar.transpose(ar.reshape(x, (batch, time, heads, width // heads)), (0, 2, 1, 3))


def multi_head(
    ar: Arithmetic,
    x: Host,
    p: Mapping[str, Host],
    name: str,
    config: Any,
    mask: Host,
    *,
    turn: tuple[Host, Host] | None = None,
    memory: Host = None,
    bias: Host = None,
) -> Host:
    """Multi-head self-attention, or cross-attention where a memory is given.

    Args:
        ar: the arithmetic.
        x: hidden vectors, ``(batch, time, hidden_size)``.
        p: parameters by dotted name.
        name: the prefix of the attention's parameters.
        config: the configuration of the attention.
        mask: the mask of `lmkernel_conformance.oracle.attention.visible`.
        turn: cosines and sines of RoPE, or None.
        memory: the encoder's output, for cross-attention.
        bias: what is added to the scores.
    """
    source = x if memory is None else memory
    q = _heads(ar, _linear(ar, x, p, f"{name}.q"), config.heads)
    k = _heads(ar, _linear(ar, source, p, f"{name}.k"), config.kv_heads)
    v = _heads(ar, _linear(ar, source, p, f"{name}.v"), config.kv_heads)
    # Qwen 3 normalises each head of queries and keys, before RoPE: afterwards the norm's weight
    # would mix with the rotation.
    if config.qk_norm is not None:
        q = normalize(ar, q, p, f"{name}.q_norm", config.qk_norm)
        k = normalize(ar, k, p, f"{name}.k_norm", config.qk_norm)
    if turn is not None:
        q, k = rotate(ar, q, *turn), rotate(ar, k, *turn)
    options = {"scale": config.scale, "softcap": config.softcap, "bias": bias}
    mixed = attention(ar, q, k, v, mask, **options)
    batch, time = raw(x).shape[:2]
    joined = ar.reshape(ar.transpose(mixed, (0, 2, 1, 3)), (batch, time, -1))
    return _linear(ar, joined, p, f"{name}.o")


def _mlp(ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str, config: Any) -> Host:
    """The feed-forward block of a layer, gated or not."""
    inner = _linear(ar, x, p, f"{name}.up")
    if config.gated:
        inner = activate(ar, _linear(ar, x, p, f"{name}.gate"), config.activation) * inner
    else:
        inner = activate(ar, inner, config.activation)
    return _linear(ar, inner, p, f"{name}.down")


def stack(
    ar: Arithmetic,
    x: Host,
    positions: Host,
    p: Mapping[str, Host],
    name: str,
    config: Any,
    *,
    rotary: Any = None,
    memory: tuple[Host, Host] | None = None,
) -> Host:
    """All layers of a stack, and its final normalisation.

    Args:
        ar: the arithmetic.
        x: hidden vectors, ``(batch, time, hidden_size)``.
        positions: positions, ``(batch, time)``; -1 is padding.
        p: parameters by dotted name.
        name: the prefix of the stack's parameters.
        config: the configuration of the stack.
        rotary: the configuration of RoPE, if the stack uses it.
        memory: hidden vectors and positions of an encoder, for cross-attention.
    """
    mask = visible(positions, positions, causal=config.causal, window=config.attention.window)
    turn = rotation(ar, positions, rotary) if rotary is not None else None
    for i in range(config.layers):
        layer = f"{name}.layers.{i}"

        def attend(y: Host, at: str = layer) -> Host:
            return multi_head(ar, y, p, f"{at}.attention", config.attention, mask, turn=turn)

        def across(y: Host, at: str = layer) -> Host:
            hidden, where = memory or (None, positions)
            seen = visible(positions, where, causal=False)
            return multi_head(ar, y, p, f"{at}.cross", config.cross, seen, memory=hidden)

        def mlp(y: Host, at: str = layer) -> Host:
            return _mlp(ar, y, p, f"{at}.mlp", config.mlp)

        # Pre-norm normalises the input of each block, post-norm the sum after it; the residual goes
        # round the block in both.
        parts = [("attention_norm", attend), ("cross_norm", across), ("mlp_norm", mlp)]
        for norm, part in parts if memory is not None else [parts[0], parts[2]]:
            if config.pre_norm:
                x = x + part(normalize(ar, x, p, f"{layer}.{norm}", config.norm))
            else:
                x = normalize(ar, x + part(x), p, f"{layer}.{norm}", config.norm)
    return normalize(ar, x, p, f"{name}.norm", config.norm) if config.final_norm else x
