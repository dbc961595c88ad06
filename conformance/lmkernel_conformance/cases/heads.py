"""Heads that pool: the last, the mean, or where the ids of tokens say."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.config import EmbeddingConfig, HeadConfig, ModelConfig, PrecisionPolicy
from lmkernel.model import Model
from lmkernel.parameters import nest
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal
from lmkernel_conformance.oracle import model as oracle

Host = Any

_TOKENS = np.array(
    [[7, 2, 7, 4, 7, 7], [7, 7, 3, 7, 8, 7], [7, 8, 7, 2, 8, 7], [1, 5, 9, 9, 6, 7]], np.int32
)
_POSITIONS = np.array([[*range(6)], [-1, -1, 0, 1, 2, 3], [-1, -1, 0, -1, -1, -1], [*range(6)]])
"""Padding on both sides, of ids that are looked for; a row of nothing but one that is passed."""


def _pooled(**options: Any) -> Trial:
    config = ModelConfig(
        embedding=EmbeddingConfig(width=6, vocab=11),
        head=HeadConfig(width=6, size=3, **options),
    )
    inputs = {
        "embedding.tokens.weight": normal("head.table", 11, 6),
        "head.weight": normal("head.product", 3, 6),
    }

    def native(s: Any, t: dict[str, Any]) -> Any:
        policy = PrecisionPolicy(params=s.dtype, compute=s.dtype, output=s.dtype)
        made = Model(s.backend, config, policy)
        places = s.array(_POSITIONS.astype(np.int32))
        return made.forward(nest(made.declare(), t), s.array(_TOKENS), positions=places)

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        return oracle.forward(ar, config, t, _TOKENS, positions=_POSITIONS)

    return Trial(inputs=inputs, native=native, formula=formula)


@trial(id="head.last", level="models", rows=(11,))
def last() -> Trial:
    """A row's last real position, whichever its token."""
    return _pooled(pooling="last")


@trial(id="head.mean", level="models", rows=(11,))
def mean() -> Trial:
    """The mean of a row's real positions."""
    return _pooled(pooling="mean")


@trial(id="head.skipped", level="models", rows=(11,))
def skipped() -> Trial:
    """The last whose token is not the one that is passed over; the first, where all are."""
    return _pooled(pooling="last", skipped=7)


@trial(id="head.token", level="models", rows=(11,))
def token() -> Trial:
    """Where a token first stands among real positions; the first, where it does not."""
    return _pooled(pooling="token", token=8)


@trial(id="head.highest", level="models", rows=(11,))
def highest() -> Trial:
    """Where the highest id first stands among real positions."""
    return _pooled(pooling="highest")


@trial(id="head.bounded", level="models")
def bounded() -> Trial:
    """Logits are scaled first, and bounded then."""
    return _pooled(scale=4.0, softcap=1.5)
