"""Transformer stacks by design: where norms stand, heads, biases, positions, networks, together."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    MlpConfig,
    NormConfig,
    RotaryConfig,
    TransformerConfig,
)
from lmkernel.interfaces import Embedded, Memory
from lmkernel.parameters import flatten, nest
from lmkernel_conformance.cases.designed import designed
from lmkernel_conformance.cases.trial import Trial
from lmkernel_conformance.inputs import normal, parameters
from lmkernel_conformance.oracle.transformer import stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel_conformance.designs import Row
    from lmkernel_conformance.subject import Subject

Host = Any

_WIDTH, _SIZE, _SOURCE_WIDTH = 10, 4, 6
_POSITIONS = np.array([[0, 1, 2, 3, 4], [-1, -1, 0, 1, 2]])
_SOURCE = np.array([[0, 1, 2], [0, 1, -1]])
_ROTARY = RotaryConfig(dim=_SIZE, theta=300.0)
_NORMS: dict[str, dict[str, Any]] = {
    "pre": {},
    "post": {"pre_norm": False},
    "both": {"output_norm": True},
    "output": {"pre_norm": False, "output_norm": True},
    "parallel": {"parallel": True},
    "shared": {"parallel": True, "shared_norm": True},
}


def _config(row: Row) -> TransformerConfig:
    kind, _, offset = row["norm"].partition(".")
    norm = NormConfig(kind=kind, eps=1e-5, offset=1.0 if offset else 0.0)
    kv, group = (int(part) for part in row["heads"].split("x"))
    attention = AttentionConfig(
        width=_WIDTH,
        heads=kv * group,
        kv_heads=kv,
        head_dim=_SIZE,
        bias=row["bias"] != "none",
        out_bias=row["bias"] == "all",
        window=row["window"],
        softcap=row["softcap"],
        qk_norm=None if row["qk_norm"] == "none" else norm,
        qk_norm_whole=row["qk_norm"] == "whole",
        alibi=0.7 if row["positions"] == "alibi" else 0.0,
        rotary=0 if row["positions"] in ("rotary", "interleaved") else None,
        interleaved=_SIZE if row["positions"] == "interleaved" else 0,
    )
    gated, _, activation = row["network"].rpartition(".")
    cross = AttentionConfig(width=_WIDTH, heads=2, head_dim=3, memory_width=_SOURCE_WIDTH)
    return TransformerConfig(
        width=_WIDTH,
        layers=2,
        attention=attention,
        mlp=MlpConfig(
            hidden=7, activation=activation, gated=bool(gated), bias=row["bias"] == "all"
        ),
        norm=norm,
        residual_scale=row["residual"],
        final_norm=row["final_norm"],
        causal=row["causal"],
        cross=cross if row["cross"] else None,
        **_NORMS[row["norms"]],
    )


def _rotation(s: Subject) -> Any:
    """The rotation of all positions, by the backend's embedding."""
    config = EmbeddingConfig(width=2, vocab=2, positions="rotary", rotary=_ROTARY)
    table = {"tokens": {"weight": s.array(np.zeros((2, 2)))}}
    embedding: Any = s.factory.create("embedding", config)
    return embedding(table, s.array(np.zeros_like(_POSITIONS)), s.array(_POSITIONS)).rotation


def _native(s: Subject, t: dict[str, Any], config: TransformerConfig, *, turned: bool) -> Any:
    component: Any = s.factory.create("decoder", config)
    params = nest(component.declare(), {n: x for n, x in t.items() if n not in ("x", "memory")})
    embedded = Embedded(t["x"], s.array(_POSITIONS), _rotation(s) if turned else None)
    if "memory" not in t:
        return component(params, embedded)
    return component(params, embedded, memory=Memory(t["memory"], s.array(_SOURCE)))


@designed("stack", level="components", narrow=False)
def stacks(row: Row, purpose: str) -> Callable[[Subject], Trial]:
    """A decoder of two layers with padding."""
    return functools.partial(_trial, row, purpose)


def _trial(row: Row, purpose: str, s: Subject) -> Trial:
    config = _config(row)
    declared: Any = s.factory.create("decoder", config).declare()
    inputs = {**parameters(purpose, flatten(declared)), "x": normal(f"{purpose}.x", 2, 5, _WIDTH)}
    if row["cross"]:
        inputs["memory"] = normal(f"{purpose}.memory", 2, 3, _SOURCE_WIDTH)
    turned = row["positions"] in ("rotary", "interleaved")

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        own = {f"own.{name}": x for name, x in t.items()}
        memory = (t["memory"], _SOURCE) if "memory" in t else None
        rotary = _ROTARY if turned else ()
        return stack(ar, t["x"], _POSITIONS, own, "own", config, rotary=rotary, memory=memory)

    return Trial(
        inputs=inputs,
        native=lambda s, t: _native(s, t, config, turned=turned),
        formula=formula,
    )
