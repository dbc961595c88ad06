"""A model, described: frozen, validated, free of arrays and of frameworks."""

from lmkernel.config.attention import AttentionConfig, RotaryConfig
from lmkernel.config.embedding import EmbeddingConfig
from lmkernel.config.head import HeadConfig, HeadTransformConfig
from lmkernel.config.layers import (
    ACTIVATIONS,
    FeedForwardConfig,
    MlpConfig,
    RecurrentConfig,
    StackConfig,
    TransformerConfig,
)
from lmkernel.config.model import InitConfig, ModelConfig, PrecisionPolicy
from lmkernel.config.norm import NormConfig

__all__ = [
    "ACTIVATIONS",
    "AttentionConfig",
    "EmbeddingConfig",
    "FeedForwardConfig",
    "HeadConfig",
    "HeadTransformConfig",
    "InitConfig",
    "MlpConfig",
    "ModelConfig",
    "NormConfig",
    "PrecisionPolicy",
    "RecurrentConfig",
    "RotaryConfig",
    "StackConfig",
    "TransformerConfig",
]
