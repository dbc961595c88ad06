"""Stacks whose attention is told distances by a table, and what families do beside it."""

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
from lmkernel_conformance.cases.case import Case
from lmkernel_conformance.cases.stack_trial import WHERE, stack_trial
from lmkernel_conformance.cases.trial import check_gradients, check_values

Host = Any

_WIDTH = 8
_FAR = np.array([[0, 1, 2, 5, 11, 40], [-1, -1, 0, 3, 7, 16]])
"""Two rows of six, with gaps, so that near and far pairs are few; the second is padded."""


def _stack(attention: AttentionConfig, **more: Any) -> TransformerConfig:
    norm, mlp = NormConfig(kind="rms", eps=1e-5), MlpConfig(hidden=6)
    given = {"layers": 2, "mlp": mlp, "norm": norm, **more}
    return TransformerConfig(width=_WIDTH, attention=attention, **given)


def _cases(
    name: str,
    doc: str,
    config: TransformerConfig,
    where: Host = WHERE,
    *tables: tuple[int, int],
) -> tuple[Case, Case]:
    """The values of a stack called once, and its gradients."""
    interface = "decoder" if config.causal else "encoder"
    plain = Case(
        level="components",
        name=f"stack.{name}",
        run=lambda s: check_values(s, stack_trial(s, config, interface, where, tables)),
        doc=doc,
    )
    gradient = Case(
        level="components",
        name=f"stack.{name}.gradient",
        run=lambda s: check_gradients(s, stack_trial(s, config, interface, where, tables)),
        training=True,
        doc=f"{doc} The gradient of every parameter.",
    )
    return plain, gradient


def _relative(buckets: int, tables: int) -> AttentionConfig:
    own = RelativeConfig(heads=4, buckets=buckets, distance=20, tables=tables)
    return AttentionConfig(width=_WIDTH, heads=4, kv_heads=2, head_dim=3, relative=own)


_BOTH_WAYS = _relative(12, tables=2)
_SECOND = replace(
    _BOTH_WAYS, relative=RelativeConfig(heads=4, buckets=12, distance=20, tables=2, table=1)
)

RELATIVE = _cases(
    "relative",
    "Biases in buckets of distances both ways, and a table of its own for each layer.",
    _stack(_BOTH_WAYS, different=(LayerConfig(attention=_SECOND), LayerConfig())),
    _FAR,
    (12, 4),
    (12, 4),
)
RELATIVE_CAUSAL = _cases(
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


DISENTANGLED = _cases(
    "disentangled",
    "Contents score distances, and distances contents, by products that contents have too.",
    _stack(
        _disentangled(context=34),
        different=(LayerConfig(), LayerConfig(attention=_disentangled(own=True))),
    ),
    _FAR,
    (12, _WIDTH),
)
ONE_SIDED = _cases(
    "disentangled.one_side",
    "Only queries score distances in one layer, only keys in the other.",
    _stack(
        _disentangled(keys=False, own=True),
        different=(LayerConfig(), LayerConfig(attention=_disentangled(queries=False))),
    ),
    _FAR,
    (12, _WIDTH),
)
LAYER_SCALE = _cases(
    "layer_scale",
    "A learned factor of each channel of each block's output; SiLU with a slope of its own.",
    _stack(
        AttentionConfig(width=_WIDTH, heads=2),
        layer_scale=0.1,
        mlp=MlpConfig(hidden=6, gated=False, slope=1.7),
    ),
)
SHARED = _cases(
    "shared_weights",
    "Four layers with two sets of weights.",
    _stack(AttentionConfig(width=_WIDTH, heads=2), layers=4, sets=2),
)
FIRST_NORM = _cases(
    "first_norm",
    "The first layer's attention reads its input as it is, the second's reads it normalised.",
    _stack(AttentionConfig(width=_WIDTH, heads=2), first_norm=False),
)
