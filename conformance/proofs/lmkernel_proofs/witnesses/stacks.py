"""Witnesses of multi-head attention, transformer stacks and whole models.

Constraint: each part is written from its mathematics, over arrays of mpmath's numbers, and calls
nothing of the oracle. Torch's and transformers' modules are the third witnesses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_proofs.witnesses.activations import activate
from lmkernel_proofs.witnesses.attentions import attention, visible_pairs
from lmkernel_proofs.witnesses.norms import layer_norm, linear, rms_norm, rotate, rotation
from lmkernel_proofs.witnesses.norms import sinusoids as waves
from lmkernel_proofs.witnesses.precise import MP, exact
from lmkernel_proofs.witnesses.recurrents import layers

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["embed", "feed_forward", "forward", "multi_head", "normalize", "stack"]

Host = Any
Params = "Mapping[str, Any]"


def _dense(x: Host, p: Mapping[str, Host], name: str) -> Host:
    return linear(x, p[f"{name}.weight"], p.get(f"{name}.bias"))


def normalize(x: Host, p: Mapping[str, Host], name: str, c: Any) -> Host:
    """A norm of the configured kind; the weight is the stored one plus the offset."""
    weight = p[f"{name}.weight"] + MP.mpf(c.offset)
    if c.kind == "rms":
        return rms_norm(x, weight, c.eps)
    return layer_norm(x, weight, p.get(f"{name}.bias"), c.eps)


def multi_head(x: Host, p: Any, name: str, c: Any, mask: Host, **more: Any) -> Host:
    """Multi-head attention, each head by its own rows of the weights; outputs are summed.

    ``memory`` makes it cross-attention, ``turn`` is RoPE's cosines and sines.
    """
    source = x if more.get("memory") is None else more["memory"]
    wide = {}
    for part, of in (("q", x), ("k", source), ("v", source)):
        y = _dense(of, p, f"{name}.{part}")
        width = y.shape[-1] // (c.heads if part == "q" else c.kv_heads)
        wide[part] = np.stack([y[..., i : i + width] for i in range(0, y.shape[-1], width)], 1)
    if c.qk_norm is not None:
        for part in ("q", "k"):
            heads = [
                normalize(wide[part][:, h], p, f"{name}.{part}_norm", c.qk_norm)
                for h in range(wide[part].shape[1])
            ]
            wide[part] = np.stack(heads, 1)
    if more.get("turn") is not None:
        wide.update({part: rotate(wide[part], *more["turn"]) for part in ("q", "k")})
    options = {"scale": c.scale, "softcap": c.softcap, "bias": more.get("bias")}
    mixed = attention(wide["q"], wide["k"], wide["v"], mask, **options)
    width, weight = mixed.shape[-1], p[f"{name}.o.weight"]
    parts = [
        linear(mixed[:, h], weight[:, h * width : (h + 1) * width]) for h in range(mixed.shape[1])
    ]
    return sum(parts) + p.get(f"{name}.o.bias", MP.mpf(0))


def _mlp(x: Host, p: Any, name: str, c: Any) -> Host:
    up = _dense(x, p, f"{name}.up")
    gate = _dense(x, p, f"{name}.gate") if c.gated else up
    inner = activate(gate, c.activation) * (up if c.gated else 1)
    return _dense(inner, p, f"{name}.down")


def stack(x: Host, where: Host, p: Any, name: str, c: Any, **more: Any) -> Host:
    """Layers of self-attention, cross-attention where there is a memory, and an MLP."""
    rotary, memory = more.get("rotary"), more.get("memory")
    turn = None if rotary is None else rotation(exact(where), rotary)
    self_mask = visible_pairs(where, where, causal=c.causal, window=c.attention.window)

    def around(y: Host, norm: str, part: Any) -> Host:
        if c.pre_norm:
            return y + part(normalize(y, p, norm, c.norm))
        return normalize(y + part(y), p, norm, c.norm)

    for at in (f"{name}.layers.{i}" for i in range(c.layers)):
        x = around(
            x,
            f"{at}.attention_norm",
            lambda y, at=at: multi_head(y, p, f"{at}.attention", c.attention, self_mask, turn=turn),
        )
        if memory is not None:
            cross_mask = visible_pairs(where, memory[1], causal=False)
            x = around(
                x,
                f"{at}.cross_norm",
                lambda y, at=at, mask=cross_mask: multi_head(
                    y, p, f"{at}.cross", c.cross, mask, memory=memory[0]
                ),
            )
        x = around(x, f"{at}.mlp_norm", lambda y, at=at: _mlp(y, p, f"{at}.mlp", c.mlp))
    return normalize(x, p, f"{name}.norm", c.norm) if c.final_norm else x


def embed(tokens: Host, where: Host, p: Any, name: str, c: Any, segments: Host = None) -> Host:
    """Embeddings, one position at a time."""
    if c.kind == "vectors":
        return tokens
    width = c.inner or c.width
    out = np.empty((*tokens.shape, width), object)
    for b, t in np.ndindex(tokens.shape):
        x = p[f"{name}.tokens.weight"][tokens[b, t]] * MP.mpf(c.scale)
        slot, absent = _slot(tokens[b], where[b], t, c)
        if c.positions == "learned":
            x = x + p[f"{name}.positions.weight"][slot]
        if c.positions == "sinusoidal" and not absent:
            x = x + waves(exact(np.array([slot])), width, c.sinusoids)[0]
        if c.segments:
            x = x + p[f"{name}.segments.weight"][0 if segments is None else segments[b, t]]
        out[b, t] = x
    out = out if c.norm is None else normalize(out, p, f"{name}.norm", c.norm)
    return _dense(out, p, f"{name}.project") if c.inner else out


def _slot(tokens: Host, where: Host, t: int, c: Any) -> tuple[int, bool]:
    """The row of the t-th token's position, and whether it is one that takes none."""
    takes_none = [bool(w >= 0 and i == c.uncounted) for i, w in zip(tokens, where, strict=True)]
    if takes_none[t]:
        return c.offset - 1, True
    return max(int(where[t]) - sum(takes_none[:t]), 0) + c.offset, False


def feed_forward(x: Host, p: Any, name: str, c: Any) -> Host:
    """Dense layers, one after the other."""
    names = [c.activation] * (len(c.widths) - 2) + [c.final_activation]
    for i, act in enumerate(names):
        x = activate(_dense(x, p, f"{name}.layers.{i}"), act)
    return x


def forward(c: Any, p: Any, inputs: Host, **more: Any) -> Host:
    """A whole model: embedding, encoder, decoder, head."""
    where = more.get("positions", _steps(inputs))
    x = embed(inputs, where, p, "embedding", c.embedding, more.get("segments"))
    memory, states, tied, own = None, None, "embedding", c.embedding
    if c.encoder is not None:
        x, states = _run(x, where, p, "encoder", c.encoder, rotary=own.rotary)
        memory = (x, where)
    if c.decoder is not None:
        if (target := more.get("target")) is not None:
            where = more.get("target_positions", _steps(target))
            tied = "embedding" if c.target_embedding is None else "target_embedding"
            own = c.target_embedding or own
            x = embed(target, where, p, tied, own)
        x, _ = _run(
            x, where, p, "decoder", c.decoder, rotary=own.rotary, memory=memory, states=states
        )
    read = inputs if more.get("target") is None else more["target"]
    return x if c.head is None else _head(x, read, where, p, c.head, tied)


def _place(c: Any, ids: Host, columns: Host) -> int:
    """Which of the real columns of a row a head reads, by the ids that stand there."""
    if c.pooling == "highest":
        return int(columns[np.argmax(ids)])
    if c.pooling == "token":
        return int(columns[np.argmax(ids == c.token)])
    if c.pooling == "first":
        return int(columns[0])
    kept = columns[ids != c.skipped] if c.skipped is not None else columns
    return int(kept[-1]) if len(kept) else int(columns[0])


def _steps(x: Host) -> Host:
    return np.tile(np.arange(x.shape[1]), (x.shape[0], 1))


def _run(x: Host, where: Host, p: Any, name: str, c: Any, **more: Any) -> Any:
    if c.kind == "feed_forward":
        return feed_forward(
            x if more.get("memory") is None else more["memory"][0], p, name, c
        ), None
    if c.kind == "transformer":
        given = {key: more.get(key) for key in ("rotary", "memory")}
        return stack(x, where, p, name, c, **given), None
    y, ends = layers(x, where, p, name, c, more.get("states"))
    kinds = ends[0]["forward"]
    return y, [
        {"forward": {k: np.concatenate([s[k] for s in end.values()], -1) for k in kinds}}
        for end in ends
    ]


def _head(x: Host, tokens: Host, where: Host, p: Any, c: Any, tied: str) -> Host:
    if c.pooling == "mean":
        x = np.array(
            [row[w >= 0].sum(0) / int((w >= 0).sum()) for row, w in zip(x, where, strict=True)]
        )
    elif c.pooling != "none":
        rows = zip(x, tokens, where, strict=True)
        x = np.array([row[_place(c, ids[w >= 0], np.flatnonzero(w >= 0))] for row, ids, w in rows])
    if c.transform is not None:
        x = activate(_dense(x, p, "head.transform"), c.transform.activation)
        x = x if c.transform.norm is None else normalize(x, p, "head.norm", c.transform.norm)
    y = linear(x, p[f"{tied}.tokens.weight" if c.tied else "head.weight"], p.get("head.bias"))
    if c.softcap is not None:
        cap = MP.mpf(c.softcap)
        y = cap * (activate(2 * y / cap, "sigmoid") * 2 - 1)
    return activate(y, c.activation)
