"""Configurations are frozen and checked; a contradiction names the field."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import TYPE_CHECKING

import pytest
from small import small_config

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    ModelConfig,
    NormConfig,
    PrecisionPolicy,
    RecurrentConfig,
    RotaryConfig,
)
from lmkernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = EmbeddingConfig(kind="vectors", width=3)
GRU = RecurrentConfig(input_width=3, width=4, bidirectional=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AttentionConfig(width=10, heads=4), r"AttentionConfig.width.*heads=4, got 10"),
        (lambda: AttentionConfig(width=8, heads=4, kv_heads=3), r"kv_heads.*divisor of heads=4"),
        (
            lambda: AttentionConfig(width=8, heads=4, memory_width=6, qk_norm=NormConfig()),
            r"qk_norm: expected None where there is a memory",
        ),
        (lambda: AttentionConfig(width=8, heads=4, window=0), "window"),
        (
            lambda: AttentionConfig(width=8, heads=-(10**5000)),
            r"AttentionConfig.heads: expected .* got <int of 16610 bits>",
        ),
        (
            lambda: AttentionConfig(width=8, heads=2, interleaved=6),
            "interleaved.*head_dim=4, got 6",
        ),
        (lambda: AttentionConfig(width=8, heads=2, interleaved=3), "interleaved.*even"),
        (lambda: RotaryConfig(dim=3), r"RotaryConfig.dim: expected an even number, got 3"),
        (lambda: RotaryConfig(dim=4, scaling="ntk"), r"scaling.*none, linear, llama3.*'ntk'"),
        (lambda: EmbeddingConfig(width=4), "EmbeddingConfig.vocab"),
        (lambda: EmbeddingConfig(width=4, vocab=2, positions="rotary"), "EmbeddingConfig.rotary"),
        (lambda: EmbeddingConfig(width=4, vocab=2, positions="learned"), "EmbeddingConfig.context"),
        (lambda: NormConfig(eps=0), "NormConfig.eps"),
        (lambda: FeedForwardConfig(widths=(3,)), "FeedForwardConfig.widths"),
        (lambda: FeedForwardConfig(widths=(3, 4), activation="gelo"), "activation.*'gelo'"),
        (lambda: PrecisionPolicy(compute="int32"), "PrecisionPolicy.compute"),
        (
            lambda: ModelConfig(embedding=VECTORS, encoder=FeedForwardConfig(widths=(4, 5))),
            r"ModelConfig.encoder: expected an input of width 3, got 4",
        ),
        (
            lambda: ModelConfig(embedding=VECTORS, head=HeadConfig(width=4, size=2)),
            r"ModelConfig.head: expected an input of width 3, got 4",
        ),
        (lambda: ModelConfig(embedding=VECTORS, decoder=GRU), "one direction"),
    ],
)
def test_contradiction_names_the_field(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_configurations_are_frozen() -> None:
    config = small_config()
    with pytest.raises(FrozenInstanceError):
        config.context = 3  # type: ignore[misc]  # refused on purpose
    attention = AttentionConfig(width=8, heads=4, options={"slope": 1})
    with pytest.raises(TypeError):
        attention.options["slope"] = 2  # type: ignore[index]  # refused on purpose
    assert replace(attention, heads=2, head_dim=4, kv_heads=2).options == {"slope": 1}
