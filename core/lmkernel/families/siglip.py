"""The SigLIP family (arXiv:2303.15343), with SigLIP 2's models of fixed resolution.

A text is padded to the context, and padding is read like any token, as these models are trained. A
picture's vector is made by attention over its patches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.config import AttentionPoolConfig, HeadConfig, PairConfig
from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.encoder_heads import leaf_rules, norm_of
from lmkernel.families.names import Rule
from lmkernel.families.picture_tower import TOWER_KEYS, network_of
from lmkernel.families.towers import TEXT_KEYS, TowersFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Siglip"]


@final
class Siglip(TowersFamily):
    """``model_type`` ``"siglip"``."""

    model_type = "siglip"
    processor = "Siglip"
    architecture = "SiglipModel"
    causal = False
    token = False
    keys = ConfigKeys(
        read={"architectures": None, "text_config": None, "vision_config": None},
        inert=key_set("initializer_factor text_config_dict vision_config_dict is_causal"),
        parts={
            "text_config": TEXT_KEYS.but(projection_size=None, inert=("is_causal",)),
            "vision_config": TOWER_KEYS.but(refused={"vision_use_head": True}),
        },
    )

    def text_head(self, whole: HfConfig, text: HfConfig) -> HeadConfig:
        del whole
        width = text.whole("hidden_size")
        size = text.whole("projection_size", width)
        return HeadConfig(width=width, size=size, bias=True, pooling="last")

    def picture_head(self, whole: HfConfig, vision: HfConfig) -> HeadConfig:
        del whole
        width, heads = vision.whole("hidden_size"), vision.whole("num_attention_heads")
        pool = AttentionPoolConfig(heads=heads, mlp=network_of(vision), norm=norm_of(vision))
        return HeadConfig(width=width, size=width, pooling="attention", pool=pool, product=False)

    def pair(self, whole: HfConfig, pictures: ModelConfig) -> PairConfig:
        del whole
        return PairConfig(pictures=pictures, bias=True, padded=True)

    def write_heads(self, config: ModelConfig) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {"projection_size": config.head.size if config.head else None}

    def head_rules(self, config: ModelConfig) -> Iterator[Rule]:
        yield from leaf_rules("text_model.head", "head")
        theirs, ours = "vision_model.head.", "pictures.head.pool."
        width = config.pair.pictures.embedding.width if config.pair else 0
        yield Rule(f"{theirs}probe", f"{ours}probe.weight", stored=(1, 1, width))
        for leaf in ("weight", "bias"):
            parts = tuple(f"{ours}{name}.{leaf}" for name in ("q", "k", "v"))
            yield Rule(f"{theirs}attention.in_proj_{leaf}", parts)
        yield from leaf_rules(f"{theirs}attention.out_proj", f"{ours}o")
        yield from leaf_rules(f"{theirs}layernorm", f"{ours}norm")
        yield from leaf_rules(f"{theirs}mlp.fc1", f"{ours}mlp.up")
        yield from leaf_rules(f"{theirs}mlp.fc2", f"{ours}mlp.down")
        yield Rule("logit_scale", "pair.scale")
        yield Rule("logit_bias", "pair.bias")
