"""Whole models, from a configuration and named parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.activation import activate
from lmkernel_conformance.oracle.norm import linear
from lmkernel_conformance.oracle.positions import sinusoids
from lmkernel_conformance.oracle.recurrent import layer
from lmkernel_conformance.oracle.tape import raw
from lmkernel_conformance.oracle.transformer import normalize, stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["embed", "feed_forward", "forward", "recurrent"]

Host = Any
Params = "Mapping[str, Host]"


def embed(
    ar: Arithmetic,
    inputs: Host,
    positions: Host,
    p: Mapping[str, Host],
    name: str,
    config: Any,
    segments: Host = None,
) -> Host:
    """The hidden vectors of tokens: table rows, scaled, plus position and segment embeddings.

    Tables that are narrower than hidden vectors (``config.inner``) have a product behind them.

    Args:
        ar: the arithmetic.
        inputs: tokens ``(batch, time)``, or vectors for the kind ``"vectors"``.
        positions: positions, ``(batch, time)``; -1 is padding.
        p: parameters by dotted name.
        name: the prefix of the embedding's parameters.
        config: the configuration of the embedding.
        segments: the segment of each token; all 0 if there are none.
    """
    if config.kind == "vectors":
        return inputs
    # Padding has to look up some row; no query will see it, so any will do.
    real, absent = np.maximum(positions, 0), np.zeros(np.shape(positions), bool)
    if config.uncounted is not None:
        absent = np.asarray((inputs == config.uncounted) & (positions >= 0))
        real = np.where(absent, -1, np.maximum(real - np.cumsum(absent, 1), 0))
    x = ar.take(p[f"{name}.tokens.weight"], inputs) * config.scale
    if config.positions == "learned":
        x = x + ar.take(p[f"{name}.positions.weight"], real + config.offset)
    if config.positions == "sinusoidal":
        width = config.inner or config.width
        waves = sinusoids(ar, real + config.offset, width, config.sinusoids)
        x = x + (ar.where(absent[..., None], 0.0, waves) if absent.any() else waves)
    if config.segments:
        which = segments if segments is not None else np.zeros_like(inputs)
        x = x + ar.take(p[f"{name}.segments.weight"], which)
    x = x if config.norm is None else normalize(ar, x, p, f"{name}.norm", config.norm)
    if config.inner:
        x = linear(ar, x, p[f"{name}.project.weight"], p[f"{name}.project.bias"])
    return x


def feed_forward(ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str, config: Any) -> Host:
    """Dense layers in sequence; the last one has an activation of its own."""
    last = len(config.widths) - 2
    for i in range(last + 1):
        y = linear(ar, x, p[f"{name}.layers.{i}.weight"], p.get(f"{name}.layers.{i}.bias"))
        x = activate(ar, y, config.final_activation if i == last else config.activation)
    return x


def recurrent(
    ar: Arithmetic,
    x: Host,
    positions: Host,
    p: Mapping[str, Host],
    name: str,
    config: Any,
    states: list[dict[str, dict[str, Host]]] | None = None,
) -> tuple[Host, list[dict[str, dict[str, Host]]]]:
    """Recurrent layers in sequence: the outputs, and the last states of each layer and direction.

    Args:
        ar: the arithmetic.
        x: inputs, ``(batch, time, in)``.
        positions: positions, ``(batch, time)``; -1 is padding.
        p: parameters by dotted name.
        name: the prefix of their names.
        config: the configuration of the stack.
        states: the first state of each layer and direction; zeros by default.
    """
    ways = ("forward", "backward") if config.bidirectional else ("forward",)
    kinds = ("h", "c") if config.cell == "lstm" else ("h",)
    batch = raw(x).shape[0]
    empty = {way: {kind: ar.full((batch, config.width), 0.0) for kind in kinds} for way in ways}
    last = []
    for i in range(config.layers):
        begin = states[i] if states is not None else empty
        runs = {
            way: layer(
                ar,
                x,
                positions,
                p,
                f"{name}.layers.{i}.{way}",
                begin[way],
                cell=config.cell,
                reverse=way == "backward",
            )
            for way in ways
        }
        x = ar.concat([runs[way][0] for way in ways], -1)
        last.append({way: runs[way][1] for way in ways})
    return x, last


def _join_directions(ar: Arithmetic, last: Any) -> Any:
    """The first states of a decoder: the encoder's last ones, both directions side by side."""
    return [
        {"forward": {k: ar.concat([s[k] for s in ends.values()], -1) for k in ends["forward"]}}
        for ends in last
    ]


def _run_stack(
    ar: Arithmetic, x: Host, positions: Host, p: Any, name: str, c: Any, **more: Any
) -> Any:
    """Run one encoder or decoder: the hidden vectors and, if it is recurrent, its last states."""
    if c.kind == "feed_forward":
        return feed_forward(ar, x, p, name, c), None
    if c.kind == "recurrent":
        return recurrent(ar, x, positions, p, name, c, more.get("states"))
    options = {name: more[name] for name in ("rotary", "memory", "routed") if name in more}
    return stack(ar, x, positions, p, name, c, **options), None


def forward(
    ar: Arithmetic,
    config: Any,
    p: Mapping[str, Host],
    inputs: Host,
    *,
    positions: Host = None,
    segments: Host = None,
    target: Host = None,
    target_positions: Host = None,
    routed: list[Host] | None = None,
) -> Host:
    """The output of every position, as `lmkernel.model.Model.forward` gives it.

    Args:
        ar: the arithmetic.
        config: the configuration of the model.
        p: parameters by dotted name.
        inputs: tokens or vectors of the encoder, or of the decoder where there is no encoder.
        positions: positions of ``inputs``, ``(batch, time)``; by default 0, 1, 2, …
        segments: the segment of each input.
        target: tokens of the decoder, in a model that has both.
        target_positions: positions of ``target``; by default 0, 1, 2, …
        routed: where the logits of the decoder's routers are put, if anywhere.
    """
    positions = _default(inputs) if positions is None else positions
    own, name = config.embedding, "embedding"
    tokens = inputs if target is None else target
    x = embed(ar, inputs, positions, p, name, own, segments)
    memory, states = None, None
    if config.encoder is not None:
        x, last = _run_stack(ar, x, positions, p, "encoder", config.encoder, rotary=own.rotaries)
        memory, states = (x, positions), last and _join_directions(ar, last)
    if config.decoder is not None:
        if target is not None:
            positions = _default(target) if target_positions is None else target_positions
            if config.target_embedding is not None:
                own, name = config.target_embedding, "target_embedding"
            x = embed(ar, target, positions, p, name, own)
        more = {"rotary": own.rotaries, "memory": memory, "states": states, "routed": routed}
        if config.decoder.kind == "feed_forward" and memory is not None:
            x = memory[0]
        x, _ = _run_stack(ar, x, positions, p, "decoder", config.decoder, **more)
    if config.head is None:
        return x
    return _head(ar, x, (tokens, positions), p, config.head, name)


def _head(
    ar: Arithmetic, x: Host, where: tuple[Host, Host], p: Any, config: Any, tied_to: str
) -> Host:
    """The head: pooling, a dense layer if the head has one, and the product with its weight."""
    if config.pooling == "mean":
        x = _mean(ar, x, where[1])
    elif config.pooling != "none":
        batch, time, width = raw(x).shape
        column = np.array([_pooled(config, *row) for row in zip(*where, strict=True)])
        flat = ar.reshape(x, (batch * time, width))
        x = ar.take(flat, np.arange(batch) * time + column)
    if (t := config.transform) is not None:
        x = linear(ar, x, p["head.transform.weight"], p.get("head.transform.bias"))
        x = activate(ar, x, t.activation)
        x = x if t.norm is None else normalize(ar, x, p, "head.norm", t.norm)
    weight = p[f"{tied_to}.tokens.weight" if config.tied else "head.weight"]
    y = linear(ar, x, weight, p.get("head.bias")) * config.scale
    if config.softcap is not None:
        y = config.softcap * ar.tanh(y / config.softcap)
    return activate(ar, y, config.activation)


def _mean(ar: Arithmetic, x: Host, positions: Host) -> Host:
    """The mean of each row's vectors at real positions; zeros for a row of padding alone."""
    real = np.asarray(positions) >= 0
    count = np.maximum(real.sum(1, keepdims=True), 1.0)
    return ar.sum(ar.where(real[..., None], x, 0.0), 1) / ar.constant(count)


def _pooled(config: Any, tokens: Host, positions: Host) -> int:
    """The column of a row that the head reads."""
    # Left padding moves the first real token of a row away from column 0.
    real = [t for t, position in enumerate(positions) if position >= 0] or [0]
    if config.pooling == "highest":
        return max(real, key=lambda t: (tokens[t], -t))
    if config.pooling == "token":
        real = [t for t in real if tokens[t] == config.token] or real
    if config.pooling != "last":
        return real[0]
    if config.skipped is not None:
        real = [t for t in real if tokens[t] != config.skipped] or real[:1]
    return real[-1]


def _default(inputs: Host) -> Host:
    batch, time = raw(inputs).shape[:2]
    return np.broadcast_to(np.arange(time), (batch, time))
