"""Every backend keeps of a layer with a window the window alone, and decodes as the whole does."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    LayerConfig,
    MlpConfig,
    ModelConfig,
    RotaryConfig,
    TransformerConfig,
)
from lmkernel.model import Model

_TIME, _WINDOWS = 40, (3, 17, None)
_CONFIG = ModelConfig(
    embedding=EmbeddingConfig(width=12, vocab=29, positions="rotary", rotary=RotaryConfig(dim=6)),
    decoder=TransformerConfig(
        width=12,
        layers=3,
        attention=AttentionConfig(width=12, heads=2),
        mlp=MlpConfig(hidden=10),
        different=tuple(
            LayerConfig(attention=AttentionConfig(width=12, heads=2, window=w)) for w in _WINDOWS
        ),
        causal=True,
    ),
    head=HeadConfig(width=12, size=29),
)


def test_windows_of_unequal_rows() -> None:
    model = Model(load_backend(), _CONFIG)
    generator = np.random.default_rng(1)
    params = model.pack({n: x + 0.3 * x.std() for n, x in model.initial(7).items()})
    tokens = generator.integers(0, 29, (3, _TIME)).astype(np.int32)
    where = np.maximum(np.arange(_TIME) - np.array([[0], [11], [36]]), -1).astype(np.int32)
    with model.backend, model.backend.inference():
        ops = model.backend.ops
        batch: list[Any] = [ops.asarray(x, "int32") for x in (tokens, where)]
        expected = ops.to_numpy(model.forward(params, batch[0], positions=batch[1]))
    state, at = model.begin(params, 3, 4), 0
    for size in (18, 1, 21):
        here = slice(at, at + size)
        got, state = model.step(params, tokens[:, here], where[:, here], state)
        at += size
        real = where[:, at - 1] >= 0
        error = np.abs(got - expected[:, at - 1])[real].max()
        assert error <= 64 * np.spacing(np.float32(np.abs(expected).max()))
    each = 3 * 2 * 6 * 4 * 2  # rows, heads, size of a head, bytes of float32, keys and values
    caches = state.peek()["layers"][:2]
    kept = [sum(int(np.prod(x.shape)) * 4 for x in cache.values()) for cache in caches]
    assert kept == [3 * each, 17 * each]
