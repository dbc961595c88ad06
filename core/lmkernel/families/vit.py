"""The ViT family (arXiv:2010.11929): a picture as 16×16 words."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import HeadConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.family import ACTIVATIONS, name_of_activation
from lmkernel.families.vision import VISION_KEYS, VisionFamily

if TYPE_CHECKING:
    from collections.abc import Collection

    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Vit"]


@final
class Vit(VisionFamily):
    """``model_type`` ``"vit"``."""

    model_type = "vit"
    processor = "ViT"
    prefix = "vit."
    bare = "ViTModel"
    classes = "ViTForImageClassification"
    names = MappingProxyType(
        {
            "attention.attention.query": "attention.q",
            "attention.attention.key": "attention.k",
            "attention.attention.value": "attention.v",
            "attention.output.dense": "attention.o",
            "intermediate.dense": "mlp.up",
            "output.dense": "mlp.down",
            "layernorm_before": "attention_norm",
            "layernorm_after": "mlp_norm",
        }
    )
    keys = VISION_KEYS.but(
        inert=("encoder_stride",),  # of a head that paints masked patches
        nullable=("pooler_output_size",),
        intermediate_size=3072,
        layer_norm_eps=1e-12,
        patch_size=16,
        pooler_output_size=None,
        pooler_act="tanh",
    )

    def pooler(self, config: HfConfig) -> HeadConfig:
        width = config.whole("hidden_size")
        return HeadConfig(
            width=width,
            size=config.whole("pooler_output_size", width),
            bias=True,
            activation=config.choice("pooler_act", ACTIVATIONS, "tanh"),
            pooling="first",
        )

    def as_stored(self, config: ModelConfig, names: Collection[str]) -> ModelConfig:
        """Without the pooler, where the model was saved without one (DINO, arXiv:2104.14294)."""
        head = config.head
        pooled = head is not None and not self.is_classifier(head)
        there = any(name.endswith("pooler.dense.weight") for name in names)
        return replace(config, head=None) if pooled and not there else config

    def write_pooler(self, head: HeadConfig | None) -> dict[str, Any]:
        if head is None:
            return {}
        if head.pooling != "first":
            raise CheckpointError(f"expected a head at the first position, got {head!r:.80}")
        act = name_of_activation(head.activation)
        return {"pooler_output_size": head.size, "pooler_act": act}
