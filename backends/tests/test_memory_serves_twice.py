"""What an encoder gives serves as often as it is decoded, on every backend; a state serves once."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    ModelConfig,
    RecurrentConfig,
    TransformerConfig,
)
from lmkernel.model import Model

_ATTENTION = AttentionConfig(width=8, heads=2)
_STACK = TransformerConfig(width=8, layers=1, attention=_ATTENTION, mlp=MlpConfig(hidden=8))
_CROSS = TransformerConfig(
    width=8,
    layers=1,
    attention=_ATTENTION,
    mlp=MlpConfig(hidden=8),
    causal=True,
    cross=AttentionConfig(width=8, heads=2, memory_width=8),
)


def _decoded_twice(encoder: Any, decoder: Any) -> None:
    embedding = EmbeddingConfig(width=8, vocab=11)
    head = HeadConfig(width=8, size=11)
    model = Model(
        load_backend(),
        ModelConfig(embedding=embedding, encoder=encoder, decoder=decoder, head=head),
    )
    params = model.pack(model.initial(1))
    memory = model.encode(params, np.array([[1, 2, 3]]))
    fed = np.array([[4]], np.int32), np.array([[0]], np.int32)
    first, second = (
        model.step(params, *fed, model.begin(params, 1, 4, memory=memory))[0] for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_a_memory_of_attention_serves_twice() -> None:
    _decoded_twice(_STACK, _CROSS)


def test_a_memory_of_states_serves_twice() -> None:
    stack = RecurrentConfig(input_width=8, width=8, cell="gru")
    _decoded_twice(stack, stack)
