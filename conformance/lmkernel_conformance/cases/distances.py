"""Stacks whose attention is told distances by a table: biases, or vectors that are scored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
from lmkernel_conformance.cases.stack_trial import stack_cases

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
RELATIVE_CAUSAL = stack_cases(
    "relative.causal",
    "Biases in buckets of distances, all of which are of what comes before.",
    _stack(_relative(10, tables=1), causal=True),
    _FAR,
    (10, 4),
)


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
