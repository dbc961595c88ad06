"""The feed-forward block of a layer: one network, gated or not, or a mixture of experts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.activation import activate, softmax
from lmkernel_conformance.oracle.norm import dense, linear
from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["network"]

Host = Any


def network(
    ar: Arithmetic,
    x: Host,
    p: Mapping[str, Host],
    name: str,
    config: Any,
    routed: list[Host] | None = None,
) -> Host:
    """The feed-forward block of a layer: one network, or a mixture of experts.

    Where ``routed`` is given, a mixture puts its router's logits there.
    """
    if config.experts is None:
        return _plain(ar, x, p, name, config)
    return _mixture(ar, x, p, name, config, routed)


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
    logits = dense(ar, flat, p, f"{name}.router")
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
        always = _plain(ar, x, p, f"{name}.shared", config)
        gate = ar.sigmoid(dense(ar, x, p, f"{name}.shared_gate")) if c.shared_gate else 1.0
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

    inner = product(x, "up")
    if config.gated:
        inner = _gated(ar, product(x, "gate"), inner, config)
    else:
        inner = _activated(ar, inner, config)
    return product(inner, "down")


def _gated(ar: Arithmetic, gate: Host, x: Host, config: Any) -> Host:
    """The activated gate times the other product, both bounded where gpt-oss bounds them."""
    if config.limit:
        gate = ar.where(raw(gate) < config.limit, gate, config.limit)
        x = ar.where(np.abs(raw(x)) < config.limit, x, np.sign(raw(x)) * config.limit)
    if config.shift:
        x = x + config.shift
    return _activated(ar, gate, config) * x


def _activated(ar: Arithmetic, x: Host, config: Any) -> Host:
    """The activation; with a slope it is SiLU, steeper or flatter."""
    if config.slope == 1:
        return activate(ar, x, config.activation)
    return x * ar.sigmoid(x * config.slope)


def _plain(ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str, config: Any) -> Host:
    """A feed-forward network, gated or not."""
    inner = dense(ar, x, p, f"{name}.up")
    if config.gated:
        inner = _gated(ar, dense(ar, x, p, f"{name}.gate"), inner, config)
    else:
        inner = _activated(ar, inner, config)
    return dense(ar, inner, p, f"{name}.down")
