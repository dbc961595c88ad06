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

_END, _OLD_END = "eos_token_id", 2
CLIP_TOWER_KEYS = TOWER_KEYS.but(inert=("projection_dim",), patch_size=32, **QUICK)
"""The keys of CLIP's tower of pictures."""


@final
class Clip(TowersFamily):
    """``model_type`` ``"clip"``; a text's vector is made at the first token that ends it.

    Its first files call another token the end; there it is the highest id that a text has, as the
    token of the end was in their vocabulary.
    """

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
                eos_token_id=49407,
                nullable=("eos_token_id",),
                **QUICK,
            ),
            "vision_config": CLIP_TOWER_KEYS,
        },
    )

    def text_head(self, whole: HfConfig, text: HfConfig) -> HeadConfig:
        size, end = whole.whole("projection_dim"), text.whole(_END, least=0)
        where: dict[str, Any] = {"pooling": "token", "token": end}
        if end == _OLD_END:
            where = {"pooling": "highest"}
        return HeadConfig(width=text.whole("hidden_size"), size=size, **where)

    def picture_head(self, whole: HfConfig, vision: HfConfig) -> HeadConfig:
        size = whole.whole("projection_dim")
        return HeadConfig(width=vision.whole("hidden_size"), size=size, pooling="first")

    def pair(self, whole: HfConfig, pictures: ModelConfig) -> PairConfig:
        return PairConfig(pictures=pictures, scale=whole.number("logit_scale_init_value"))

    def write_heads(self, config: ModelConfig) -> tuple[dict[str, Any], dict[str, Any]]:
        size = config.head.size if config.head else None
        scale = config.pair.scale if config.pair else None
        end = config.head.token if config.head else None
        own = {_END: _OLD_END if end is None else end}
        return {"projection_dim": size, "logit_scale_init_value": scale}, own

    def head_rules(self, config: ModelConfig) -> Iterator[Rule]:
        del config
        yield Rule("text_projection.weight", "head.weight")
        yield Rule("visual_projection.weight", "pictures.head.weight")
        yield Rule("logit_scale", "pair.scale", stored=())
