"""Idefics 3 (arXiv:2408.12637) and SmolVLM (arXiv:2504.05299): joined patches through a product.

A picture is read in tiles and once as a whole. transformers works out positions of patches in
float32, which puts some beside their place for grids that no published model has, such as 25 × 25;
here they are in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.config import FeedForwardConfig, SightConfig
from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.llama import Llama
from lmkernel.families.names import Rule, with_optional_prefix
from lmkernel.families.picture_tokens import PictureTokens
from lmkernel.families.picture_tower import TOWER_KEYS, picture_tower, tower_rules, write_tower
from lmkernel.families.seeing import TEXT, TIED, VISION, SeeingFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.families.hf_config import HfConfig

__all__ = ["Idefics3", "SmolVlm"]

_LEFT = (
    *("is_llama_config", "neftune_noise_alpha", "perceiver_config", "pixel_shuffle_factor"),
    *("qk_layer_norms", "rope_interleaved", "use_resampler"),
)
"""Keys of published models that are left over from how they were made."""
_FACTOR, _TOKEN = "scale_factor", "image_token_id"


class _Idefics3Shape(SeeingFamily):
    """What both have, which is all but their names."""

    token_key = _TOKEN
    body = ("model.text_model.", "text_model.")
    head = ("lm_head.",)
    keys = ConfigKeys(
        read={
            "architectures": None,
            TEXT: None,
            VISION: None,
            _TOKEN: 128257,
            _FACTOR: 2,
            TIED: False,
        },
        inert=key_set("_pad_token_id image_seq_len vocab_size"),
        parts={
            TEXT: Llama.keys.but(inert=_LEFT),
            VISION: TOWER_KEYS.but(
                # what older files say of pictures, which a processor knows
                inert=("max_image_size", "size", "use_base_siglip", TIED),
                hidden_size=1152,
                num_attention_heads=16,
                patch_size=32,
            ),
        },
    )

    def picture_tokens(self) -> PictureTokens:
        around = "<fake_token_around_image>"
        return PictureTokens(around=around, whole="<global-img>", tile="<row_{}_col_{}>")

    def sight(self, whole: HfConfig, vision: HfConfig, width: int) -> SightConfig:
        tower, factor = picture_tower(vision, token=False), whole.whole(_FACTOR)
        side = vision.whole("image_size") // vision.whole("patch_size")
        if side % factor:
            raise whole.error(_FACTOR, f"a divisor of the {side} patches of a side", factor)
        widths = (tower.embedding.width * factor**2, width)
        return SightConfig(
            pictures=tower,
            connector=FeedForwardConfig(widths=widths, final_activation="none", bias=False),
            token=whole.whole(_TOKEN, least=0),
            joined=factor,
        )

    def write_sight(self, sight: SightConfig) -> tuple[dict[str, Any], dict[str, Any]]:
        return {_TOKEN: sight.token, _FACTOR: sight.joined}, write_tower(sight.pictures)

    def sight_rules(self, sight: SightConfig) -> Iterator[Rule]:
        product = Rule(
            "model.connector.modality_projection.proj.weight", "connector.layers.0.weight"
        )
        rules = (*tower_rules("model.vision_model.", sight.pictures), product)
        yield from with_optional_prefix("model.", rules)


@final
class SmolVlm(_Idefics3Shape):
    """``model_type`` ``"smolvlm"``: SmolVLM 2."""

    model_type = "smolvlm"
    processor = "SmolVLM"
    architecture = "SmolVLMForConditionalGeneration"
    tower_type = "smolvlm_vision"
    tower_types = ("smolvlm_vision", "smolvlm")


@final
class Idefics3(_Idefics3Shape):
    """``model_type`` ``"idefics3"``: Idefics 3, and SmolVLM's first models."""

    model_type = "idefics3"
    processor = "Idefics3"
    architecture = "Idefics3ForConditionalGeneration"
    tower_type = "idefics3_vision"
    tower_types = ("idefics3_vision", "idefics3")
