"""A model, described: frozen, validated, free of arrays and of frameworks."""

from lmkernel.config.attention import AttentionConfig, RotaryConfig
from lmkernel.config.embedding import EmbeddingConfig
from lmkernel.config.layers import (
    ACTIVATIONS,
    FeedForwardConfig,
    MlpConfig,
    NormConfig,
    RecurrentConfig,
    StackConfig,
    TransformerConfig,
)
from lmkernel.config.model import HeadConfig, ModelConfig, PrecisionPolicy

__all__ = [
    "ACTIVATIONS",
    "AttentionConfig",
    "EmbeddingConfig",
    "FeedForwardConfig",
    "HeadConfig",
    "MlpConfig",
    "ModelConfig",
    "NormConfig",
    "PrecisionPolicy",
    "RecurrentConfig",
    "RotaryConfig",
    "StackConfig",
    "TransformerConfig",
]
