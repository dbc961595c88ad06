"""A model, described: frozen, validated, free of arrays and of frameworks."""

from lmkernel.config.attention import (
    AttentionConfig,
    DisentangledConfig,
    LatentConfig,
    RelativeConfig,
)
from lmkernel.config.delta import DeltaConfig
from lmkernel.config.embedding import EmbeddingConfig, PatchConfig
from lmkernel.config.experts import ExpertsConfig
from lmkernel.config.head import AttentionPoolConfig, HeadConfig, HeadTransformConfig
from lmkernel.config.layers import (
    ACTIVATIONS,
    FeedForwardConfig,
    LayerConfig,
    MlpConfig,
    RecurrentConfig,
    StackConfig,
    TransformerConfig,
)
from lmkernel.config.model import InitConfig, ModelConfig, PairConfig, PrecisionPolicy
from lmkernel.config.norm import NormConfig
from lmkernel.config.rotary import RotaryConfig
from lmkernel.config.sight import SightConfig
from lmkernel.config.waves import WaveConfig

__all__ = [
    "ACTIVATIONS",
    "AttentionConfig",
    "AttentionPoolConfig",
    "DeltaConfig",
    "DisentangledConfig",
    "EmbeddingConfig",
    "ExpertsConfig",
    "FeedForwardConfig",
    "HeadConfig",
    "HeadTransformConfig",
    "InitConfig",
    "LatentConfig",
    "LayerConfig",
    "MlpConfig",
    "ModelConfig",
    "NormConfig",
    "PairConfig",
    "PatchConfig",
    "PrecisionPolicy",
    "RecurrentConfig",
    "RelativeConfig",
    "RotaryConfig",
    "SightConfig",
    "StackConfig",
    "TransformerConfig",
    "WaveConfig",
]
