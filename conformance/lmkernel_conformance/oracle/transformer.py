"""Transformer stacks, with cross-attention where there is an encoder; layers may differ."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.activation import activate, softmax
from lmkernel_conformance.oracle.attention import attention, visible
from lmkernel_conformance.oracle.norm import layer_norm, linear, rms_norm
from lmkernel_conformance.oracle.positions import rotate, rotation
from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["multi_head", "normalize", "stack"]

Host = Any
Part = tuple[str, Any]
"""The name of a block of a layer, and the block: a function of its input."""


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
    if config.latent is not None:
        return _latent(ar, x, p, name, config, mask, turn)
    source = x if memory is None else memory
    q = _linear(ar, x, p, f"{name}.q")
    k, v = (_linear(ar, source, p, f"{name}.{part}") for part in ("k", "v"))
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
    if turn is not None:
        q, k = (_turn(ar, part, turn, config.interleaved) for part in (q, k))
    options = {"scale": config.scale, "softcap": config.softcap, "bias": bias}
    mixed = attention(ar, q, k, v, mask, **options, sinks=p.get(f"{name}.sinks"))
    batch, time = raw(x).shape[:2]
    joined = ar.reshape(ar.transpose(mixed, (0, 2, 1, 3)), (batch, time, -1))
    return _linear(ar, joined, p, f"{name}.o")


def _latent(
    ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str, config: Any, mask: Host, turn: Any
) -> Host:
    """Latent attention (arXiv:2405.04434, §2.1.2 and §2.1.3), with every key and value made."""
    d, plain = config.latent, config.head_dim - config.latent.turned
    source = x
    if d.query_rank:
        source = normalize(ar, _linear(ar, x, p, f"{name}.q_down"), p, f"{name}.q_norm", d.norm)
    q = _heads(ar, _linear(ar, source, p, f"{name}.q"), config.heads)
    down = _linear(ar, x, p, f"{name}.kv_down")
    small = normalize(ar, down[..., : d.rank], p, f"{name}.kv_norm", d.norm)
    made = _heads(ar, _linear(ar, small, p, f"{name}.kv"), config.heads)
    shared = _turn(ar, _heads(ar, down[..., d.rank :], 1), turn, config.interleaved)
    keys = [made[..., :plain], ar.take(shared, np.zeros(config.heads, int), 1)]
    queries = [q[..., :plain], _turn(ar, q[..., plain:], turn, config.interleaved)]
    k, v = ar.concat(keys, -1), made[..., plain:]
    mixed = attention(ar, ar.concat(queries, -1), k, v, mask, scale=config.scale)
    batch, time = raw(x).shape[:2]
    joined = ar.reshape(ar.transpose(mixed, (0, 2, 1, 3)), (batch, time, -1))
    return _linear(ar, joined, p, f"{name}.o")


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


def _linear_bias(positions: Host, heads: int, factor: float) -> Host:
    """ALiBi (arXiv:2108.12409, §3): minus the distance times a slope for each head."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    # what is missing to a power of two comes from the sequence of twice as many, every other one
    slopes += [2 ** (-8 * (2 * h + 1) / (2 * power)) for h in range(heads - power)]
    back = positions[:, None, None, :] - positions[:, None, :, None]
    return factor * np.array(slopes)[None, :, None, None] * back


def _mixture(
    ar: Arithmetic,
    x: Host,
    p: Mapping[str, Host],
    name: str,
    config: Any,
    routed: list[Host] | None,
) -> Host:
    """A mixture of experts, position by position (arXiv:1701.06538, §2)."""
    c, (batch, time, width) = config.experts, raw(x).shape
    flat = ar.reshape(x, (batch * time, width))
    logits = _linear(ar, flat, p, f"{name}.router")
    if routed is not None:
        routed.append(logits)
    scores = softmax(ar, logits) if c.scoring == "softmax" else ar.sigmoid(logits)
    bias = raw(p[f"{name}.router.choice_bias"]) if c.choice_bias else 0.0
    rows = []
    for r, merit in enumerate(raw(scores) + bias):
        chosen = _choose(np.asarray(merit), c)
        weights = [scores[r : r + 1, e : e + 1] for e in chosen]
        whole = sum(weights[1:], weights[0]) if c.renormalize else 1.0
        outputs = [
            weight / whole * c.scale * _expert(ar, flat[r : r + 1], p, name, e, config)
            for weight, e in zip(weights, chosen, strict=True)
        ]
        rows.append(sum(outputs[1:], outputs[0]))
    y = ar.reshape(ar.concat(rows, 0), (batch, time, width))
    if c.shared:
        always = _network(ar, x, p, f"{name}.shared", config)
        gate = ar.sigmoid(_linear(ar, x, p, f"{name}.shared_gate")) if c.shared_gate else 1.0
        y = y + gate * always
    return y


def _choose(merit: Host, c: Any) -> list[int]:
    """The experts of one position: the best of those in the best groups, the very best first."""
    size, best = c.count // c.groups, 1 if c.group_score == "max" else 2
    of_group = [sum(sorted(merit[g * size : (g + 1) * size])[-best:]) for g in range(c.groups)]
    groups = sorted(range(c.groups), key=lambda g: -of_group[g])[: c.chosen_groups]
    allowed = [e for e in range(c.count) if e // size in groups]
    return sorted(allowed, key=lambda e: -merit[e])[: c.chosen]


def _expert(
    ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str, expert: int, config: Any
) -> Host:
    def product(y: Host, part: str) -> Host:
        bias = p.get(f"{name}.experts.{part}.bias")
        weight = p[f"{name}.experts.{part}.weight"][expert]
        return linear(ar, y, weight, None if bias is None else bias[expert])

    return product(_gated(ar, product(x, "gate"), product(x, "up"), config), "down")


def _gated(ar: Arithmetic, gate: Host, x: Host, config: Any) -> Host:
    """The activated gate times the other product, both bounded where gpt-oss bounds them."""
    if config.limit:
        gate = ar.where(raw(gate) < config.limit, gate, config.limit)
        x = ar.where(np.abs(raw(x)) < config.limit, x, np.sign(raw(x)) * config.limit)
    if config.shift:
        x = x + config.shift
    if config.slope == 1:
        return activate(ar, gate, config.activation) * x
    return gate * ar.sigmoid(gate * config.slope) * x


def _mlp(
    ar: Arithmetic,
    x: Host,
    p: Mapping[str, Host],
    name: str,
    config: Any,
    routed: list[Host] | None,
) -> Host:
    """The feed-forward block of a layer: one network, or a mixture of experts."""
    if config.experts is None:
        return _network(ar, x, p, name, config)
    return _mixture(ar, x, p, name, config, routed)


def _network(ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str, config: Any) -> Host:
    """A feed-forward network, gated or not."""
    inner = _linear(ar, x, p, f"{name}.up")
    if config.gated:
        inner = _gated(ar, _linear(ar, x, p, f"{name}.gate"), inner, config)
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
    rotary: Any = (),
    memory: tuple[Host, Host] | None = None,
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
        routed: where the logits of each layer's router are put, if anywhere.
    """
    rotaries = rotary if isinstance(rotary, tuple) else (rotary,)
    turns = [rotation(ar, positions, one) for one in rotaries]
    for i in range(config.layers):
        own = config.different[i] if config.different else None
        attended = (own and own.attention) or config.attention
        network = (own and own.mlp) or config.mlp
        layer = f"{name}.layers.{i}"
        mask = visible(positions, positions, causal=config.causal, window=attended.window)
        turn = turns[attended.rotary] if turns and attended.rotary is not None else None
        bias = None
        if attended.alibi:
            bias = ar.constant(_linear_bias(positions, attended.heads, attended.alibi))

        seen = {"mask": mask, "turn": turn, "bias": bias}

        def attend(y: Host, at: str = layer, c: Any = attended, seen: Any = seen) -> Host:
            return multi_head(ar, y, p, f"{at}.attention", c, **seen)

        def across(y: Host, at: str = layer) -> Host:
            hidden, where = memory or (None, positions)
            shown = visible(positions, where, causal=False)
            return multi_head(ar, y, p, f"{at}.cross", config.cross, shown, memory=hidden)

        def mlp(y: Host, at: str = layer, c: Any = network) -> Host:
            return _mlp(ar, y, p, f"{at}.mlp", c, routed)

        parts: list[Part] = [("attention", attend), ("cross", across), ("mlp", mlp)]
        chosen = parts if memory is not None else [parts[0], parts[2]]
        x = _through(ar, x, chosen, p, layer, config)
    return normalize(ar, x, p, f"{name}.norm", config.norm) if config.final_norm else x


def _through(
    ar: Arithmetic,
    x: Host,
    parts: list[Part],
    p: Mapping[str, Host],
    layer: str,
    config: Any,
) -> Host:
    """One layer: each block's output is added to what goes round it.

    A block's input is normalised in pre-norm, its output where the configuration says so, and the
    sum after it in post-norm. Parallel blocks all read what comes into the layer.
    """
    given = x
    for name, part in parts:
        source = given if config.parallel else x
        norm = f"{layer}.{'attention' if config.shared_norm else name}_norm"
        y = part(normalize(ar, source, p, norm, config.norm) if config.pre_norm else source)
        if config.output_norm:
            y = normalize(ar, y, p, f"{layer}.{name}_output_norm", config.norm)
        x = x + y * config.residual_scale
        if not config.pre_norm and not config.output_norm:
            x = normalize(ar, x, p, norm, config.norm)
    return x
