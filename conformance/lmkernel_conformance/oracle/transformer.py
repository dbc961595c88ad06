"""Transformer stacks, with cross-attention where there is an encoder; layers may differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.attention import attention, visible
from lmkernel_conformance.oracle.delta import delta_attention
from lmkernel_conformance.oracle.distances import (
    distance_scores,
    linear_biases,
    relative_biases,
)
from lmkernel_conformance.oracle.networks import network
from lmkernel_conformance.oracle.norm import dense, layer_norm, rms_norm
from lmkernel_conformance.oracle.positions import rotate, rotation
from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["multi_head", "normalize", "stack"]

Host = Any
Part = tuple[str, Any]
"""The name of a block of a layer, and the block: a function of its input."""


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
    distances: tuple[Host, Host] | None = None,
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
        distances: positions ``(batch, time)`` and the vectors of their distances, which
            disentangled attention scores as well.
    """
    if config.latent is not None:
        return _latent(ar, x, p, name, config, mask, turn)
    source = x if memory is None else memory
    q = dense(ar, x, p, f"{name}.q")
    k, v = (dense(ar, source, p, f"{name}.{part}") for part in ("k", "v"))
    # OLMo 2 normalises queries and keys as they come from the product, all heads together
    if config.qk_norm is not None and config.qk_norm_whole:
        q = normalize(ar, q, p, f"{name}.q_norm", config.qk_norm)
        k = normalize(ar, k, p, f"{name}.k_norm", config.qk_norm)
    q, k = _heads(ar, q, config.heads), _heads(ar, k, config.kv_heads)
    v = _heads(ar, v, config.kv_heads)
    # Qwen 3 normalises each head of queries and keys, before RoPE: afterwards the norm's weight
    # would mix with the rotation.
    if config.qk_norm is not None and not config.qk_norm_whole:
        q = normalize(ar, q, p, f"{name}.q_norm", config.qk_norm)
        k = normalize(ar, k, p, f"{name}.k_norm", config.qk_norm)
    if distances is not None:
        where, table = distances
        made = _of_distances(ar, table, p, name, config)
        bias = distance_scores(ar, q, k, made, where, config.relative) * config.scale
    if turn is not None:
        q, k = (_turn(ar, part, turn, config.interleaved) for part in (q, k))
    options = {"scale": config.scale, "softcap": config.softcap, "bias": bias}
    mixed = attention(ar, q, k, v, mask, **options, sinks=p.get(f"{name}.sinks"))
    batch, time = raw(x).shape[:2]
    joined = ar.reshape(ar.transpose(mixed, (0, 2, 1, 3)), (batch, time, -1))
    if config.gated:
        joined = joined * ar.sigmoid(dense(ar, x, p, f"{name}.gate"))
    return dense(ar, joined, p, f"{name}.o")


def _of_distances(
    ar: Arithmetic, table: Host, p: Mapping[str, Host], name: str, config: Any
) -> dict[str, Host]:
    """Keys and queries of the vectors of distances, by heads, as far as they are scored."""
    of = config.relative
    wanted = [part for part, scored in (("k", of.queries), ("q", of.keys)) if scored]
    found = {}
    for part in wanted:
        y = dense(ar, table, p, f"{name}.distance_{part}" if of.own else f"{name}.{part}")
        found[part] = ar.reshape(y, (raw(y).shape[0], config.heads, -1))
    return found


def _latent(
    ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str, config: Any, mask: Host, turn: Any
) -> Host:
    """Latent attention (arXiv:2405.04434, §2.1.2 and §2.1.3), with every key and value made."""
    d, plain = config.latent, config.head_dim - config.latent.turned
    source = x
    if d.query_rank:
        source = normalize(ar, dense(ar, x, p, f"{name}.q_down"), p, f"{name}.q_norm", d.norm)
    q = _heads(ar, dense(ar, source, p, f"{name}.q"), config.heads)
    down = dense(ar, x, p, f"{name}.kv_down")
    small = normalize(ar, down[..., : d.rank], p, f"{name}.kv_norm", d.norm)
    made = _heads(ar, dense(ar, small, p, f"{name}.kv"), config.heads)
    shared = _turn(ar, _heads(ar, down[..., d.rank :], 1), turn, config.interleaved)
    keys = [made[..., :plain], ar.take(shared, np.zeros(config.heads, int), 1)]
    queries = [q[..., :plain], _turn(ar, q[..., plain:], turn, config.interleaved)]
    k, v = ar.concat(keys, -1), made[..., plain:]
    mixed = attention(ar, ar.concat(queries, -1), k, v, mask, scale=config.scale)
    batch, time = raw(x).shape[:2]
    joined = ar.reshape(ar.transpose(mixed, (0, 2, 1, 3)), (batch, time, -1))
    return dense(ar, joined, p, f"{name}.o")


def _turn(ar: Arithmetic, x: Host, turn: tuple[Host, Host], neighbours: int) -> Host:
    """RoPE on heads: of halves, or of so many elements that are pairs of neighbours."""
    if not neighbours:
        return rotate(ar, x, *turn)
    cos, sin = turn
    parts = []
    for i in range(neighbours // 2):
        a, b = x[..., 2 * i : 2 * i + 1], x[..., 2 * i + 1 : 2 * i + 2]
        c, s = cos[..., i : i + 1], sin[..., i : i + 1]
        parts += [a * c - b * s, a * s + b * c]
    return ar.concat([*parts, x[..., neighbours:]], -1)


def stack(
    ar: Arithmetic,
    x: Host,
    positions: Host,
    p: Mapping[str, Host],
    name: str,
    config: Any,
    *,
    rotary: Any = (),
    memory: tuple[Host, Host] | None = None,
    tables: Sequence[Host] = (),
    routed: list[Host] | None = None,
) -> Host:
    """All layers of a stack, and its final normalisation.

    Args:
        ar: the arithmetic.
        x: hidden vectors, ``(batch, time, hidden_size)``.
        positions: positions, ``(batch, time)``; -1 is padding.
        p: parameters by dotted name.
        name: the prefix of the stack's parameters.
        config: the configuration of the stack.
        rotary: the configuration of RoPE, or several that its layers name by number.
        memory: hidden vectors and positions of an encoder, for cross-attention.
        tables: the embedding's tables of distances, which layers name by number.
        routed: where the logits of each layer's router are put, if anywhere.
    """
    rotaries = rotary if isinstance(rotary, tuple) else (rotary,)
    turns = [rotation(ar, positions, one) for one in rotaries]
    for i in range(config.layers):
        own = config.different[i] if config.different else None
        attended = (own and own.attention) or config.attention
        inner = (own and own.mlp) or config.mlp
        layer = f"{name}.layers.{i * (config.sets or config.layers) // config.layers}"
        mask = visible(positions, positions, causal=config.causal, window=attended.window)
        turn = turns[attended.rotary] if turns and attended.rotary is not None else None
        bias = None
        if attended.alibi:
            bias = ar.constant(linear_biases(positions, attended.heads, attended.alibi))
        seen = {"mask": mask, "turn": turn, "bias": bias}
        if attended.kind == "disentangled":
            seen["distances"] = (positions, tables[0])
        elif attended.relative is not None:
            own_table, of = tables[attended.relative.table], attended.relative
            seen["bias"] = relative_biases(ar, positions, own_table, of, causal=config.causal)

        def attend(y: Host, at: str = layer, c: Any = attended, seen: Any = seen) -> Host:
            if c.delta is not None:
                return delta_attention(ar, y, p, f"{at}.attention", c, positions)
            return multi_head(ar, y, p, f"{at}.attention", c, **seen)

        def across(y: Host, at: str = layer) -> Host:
            hidden, where = memory or (None, positions)
            shown = visible(positions, where, causal=False)
            return multi_head(ar, y, p, f"{at}.cross", config.cross, shown, memory=hidden)

        def mlp(y: Host, at: str = layer, c: Any = inner) -> Host:
            return network(ar, y, p, f"{at}.mlp", c, routed)

        parts: list[Part] = [("attention", attend), ("cross", across), ("mlp", mlp)]
        chosen = parts if memory is not None else [parts[0], parts[2]]
        x = _through(ar, x, chosen, p, layer, config, first=i == 0)
    return normalize(ar, x, p, f"{name}.norm", config.norm) if config.final_norm else x


def _through(
    ar: Arithmetic,
    x: Host,
    parts: list[Part],
    p: Mapping[str, Host],
    layer: str,
    config: Any,
    *,
    first: bool,
) -> Host:
    """One layer: each block's output is added to what goes round it.

    A block's input is normalised in pre-norm, its output where the configuration says so, and the
    sum after it in post-norm. Parallel blocks all read what comes into the layer. The ``first``
    layer's attention may read its input as it is.
    """
    given = x
    for name, part in parts:
        source = given if config.parallel else x
        norm = f"{layer}.{'attention' if config.shared_norm else name}_norm"
        before = config.pre_norm and not (first and name == "attention" and not config.first_norm)
        y = part(normalize(ar, source, p, norm, config.norm) if before else source)
        if config.output_norm:
            y = normalize(ar, y, p, f"{layer}.{name}_output_norm", config.norm)
        if config.layer_scale:
            y = y * p[f"{layer}.{name}_scale.weight"]
        x = x + y * config.residual_scale
        if not config.pre_norm and not config.output_norm:
            x = normalize(ar, x, p, norm, config.norm)
    return x
