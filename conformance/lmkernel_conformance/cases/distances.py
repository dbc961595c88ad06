"""Stacks whose attention is told distances by a table: biases, or vectors that are scored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import (
    AttentionConfig,
    DisentangledConfig,
    LayerConfig,
    MlpConfig,
    NormConfig,
    RelativeConfig,
    TransformerConfig,
)
from lmkernel.interfaces import Embedded
from lmkernel.parameters import flatten, nest
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.stack_trial import stack_cases
from lmkernel_conformance.inputs import normal, parameters
from lmkernel_conformance.oracle.transformer import stack

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_WIDTH = 8
_FAR = np.array([[0, 1, 2, 5, 11, 40], [-1, -1, 0, 3, 7, 16]])
"""Two rows of six, with gaps, so that near and far pairs are few; the second is padded."""


def _stack(attention: AttentionConfig, **more: Any) -> TransformerConfig:
    return TransformerConfig(
        width=_WIDTH,
        layers=2,
        attention=attention,
        mlp=MlpConfig(hidden=6),
        norm=NormConfig(kind="rms", eps=1e-5),
        **more,
    )


def _relative(buckets: int, tables: int) -> AttentionConfig:
    own = RelativeConfig(heads=4, buckets=buckets, distance=20, tables=tables)
    return AttentionConfig(width=_WIDTH, heads=4, kv_heads=2, head_dim=3, relative=own)


_BOTH_WAYS = _relative(13, tables=2)
_SECOND = replace(
    _BOTH_WAYS, relative=RelativeConfig(heads=4, buckets=13, distance=20, tables=2, table=1)
)

RELATIVE = stack_cases(
    "relative",
    "Biases in buckets of distances both ways, and a table of its own for each layer.",
    _stack(_BOTH_WAYS, different=(LayerConfig(attention=_SECOND), LayerConfig())),
    _FAR,
    (13, 4),
    (13, 4),
)
_CAUSAL = _stack(_relative(10, tables=1), causal=True)
RELATIVE_CAUSAL = stack_cases(
    "relative.causal",
    "Biases in buckets of distances, all of which are of what comes before.",
    _CAUSAL,
    _FAR,
    (10, 4),
)


@case(level="components", id="stack.relative.steps", rows=(25,))
def steps(s: Subject) -> None:
    """Biases by distance are the same in decoding: three positions, then one by one."""
    component = s.factory.create("decoder", _CAUSAL)
    hosts = s.round(parameters("distances.steps", flatten(component.declare())))
    x = s.round(normal("distances.steps.x", *_FAR.shape, _WIDTH))
    table = s.round(normal("distances.steps.table", 10, 4))

    def formula(ar: Any) -> Host:
        own = {f"own.{name}": ar.constant(value) for name, value in hosts.items()}
        tables = [ar.constant(table)]
        return stack(ar, ar.constant(x), _FAR, own, "own", _CAUSAL, tables=tables)

    params, end = s.arrays(nest(component.declare(), hosts)), _FAR.shape[1]
    state, found = component.start(params, len(_FAR), end, s.dtype), []
    for first, last in ((0, 3), (3, 4), (4, 5), (5, 6)):
        here = slice(first, last)
        piece = Embedded(s.array(x[:, here]), s.array(_FAR[:, here]), relative=s.array(table))
        begin = s.ops.asarray(first, "int32")
        hidden, state = component.step(params, piece, state, begin, extent=end)
        found.append(s.host(hidden))
    s.judge("output", np.concatenate(found, 1), s.budgets("output", formula)[0])


def _disentangled(**more: Any) -> AttentionConfig:
    own = DisentangledConfig(width=_WIDTH, span=6, **more)
    return AttentionConfig(
        kind="disentangled", width=_WIDTH, heads=2, scale=0.3, bias=True, relative=own
    )


DISENTANGLED = stack_cases(
    "disentangled",
    "Contents score distances, and distances contents, by products that contents have too.",
    _stack(
        _disentangled(context=34),
        different=(LayerConfig(), LayerConfig(attention=_disentangled(own=True))),
    ),
    _FAR,
    (12, _WIDTH),
)
ONE_SIDED = stack_cases(
    "disentangled.one_side",
    "Only queries score distances in one layer, only keys in the other.",
    _stack(
        _disentangled(keys=False, own=True),
        different=(LayerConfig(), LayerConfig(attention=_disentangled(queries=False))),
    ),
    _FAR,
    (12, _WIDTH),
)
