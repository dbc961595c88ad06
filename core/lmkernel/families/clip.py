"""The CLIP family (arXiv:2103.00020): a causal tower of texts beside a ViT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.config import HeadConfig, PairConfig
from lmkernel.families.config_keys import ConfigKeys
from lmkernel.families.names import Rule
from lmkernel.families.picture_tower import QUICK, TOWER_KEYS
from lmkernel.families.towers import TEXT_KEYS, TowersFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["CLIP_TOWER_KEYS", "Clip"]

CLIP_TOWER_KEYS = TOWER_KEYS.but(inert=("projection_dim",), patch_size=32, **QUICK)
"""The keys of CLIP's tower of pictures."""


@final
class Clip(TowersFamily):
    """``model_type`` ``"clip"``; a text's vector is made at its last token, which ends it."""

    model_type = "clip"
    processor = "CLIP"
    architecture = "CLIPModel"
    causal = True
    token = True
    keys = ConfigKeys(
        read={
            "architectures": None,
            "text_config": None,
            "vision_config": None,
            "projection_dim": 512,
            "logit_scale_init_value": 2.6592,
        },
        nullable=frozenset({"projection_dim", "logit_scale_init_value"}),
        inert=frozenset({"initializer_factor", "text_config_dict", "vision_config_dict"}),
        parts={
            "text_config": TEXT_KEYS.but(
                inert=("projection_dim",),
                vocab_size=49408,
                hidden_size=512,
                intermediate_size=2048,
                num_attention_heads=8,
                max_position_embeddings=77,
                **QUICK,
            ),
            "vision_config": CLIP_TOWER_KEYS,
        },
    )

    def text_head(self, whole: HfConfig, text: HfConfig) -> HeadConfig:
        size = whole.whole("projection_dim")
        return HeadConfig(width=text.whole("hidden_size"), size=size, pooling="last")

    def picture_head(self, whole: HfConfig, vision: HfConfig) -> HeadConfig:
        size = whole.whole("projection_dim")
        return HeadConfig(width=vision.whole("hidden_size"), size=size, pooling="first")

    def pair(self, whole: HfConfig, pictures: ModelConfig) -> PairConfig:
        return PairConfig(pictures=pictures, scale=whole.number("logit_scale_init_value"))

    def write_heads(self, config: ModelConfig) -> tuple[dict[str, Any], dict[str, Any]]:
        size = config.head.size if config.head else None
        scale = config.pair.scale if config.pair else None
        return {"projection_dim": size, "logit_scale_init_value": scale}, {}

    def head_rules(self, config: ModelConfig) -> Iterator[Rule]:
        del config
        yield Rule("text_projection.weight", "head.weight")
        yield Rule("visual_projection.weight", "pictures.head.weight")
        yield Rule("logit_scale", "pair.scale", stored=())
