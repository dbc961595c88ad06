"""LLaVA 1.5 (arXiv:2310.03744, §3): vectors of one of CLIP's layers, through a network of two."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import FeedForwardConfig, SightConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.clip import CLIP_TOWER_KEYS
from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.family import ACTIVATIONS, name_of_activation
from lmkernel.families.llama import Llama
from lmkernel.families.names import Rule
from lmkernel.families.picture_tower import picture_tower, tower_rules, write_tower
from lmkernel.families.seeing import TEXT, TIED, VISION, SeeingFamily

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel.families.hf_config import HfConfig

__all__ = ["Llava"]

_TOKEN, _LAYER = "image_token_index", "vision_feature_layer"
_ACT, _BIAS = "projector_hidden_act", "multimodal_projector_bias"
_SKIPPED: Mapping[str, int] = MappingProxyType({"default": 1, "full": 0})
"""How many vectors each strategy leaves out, from the first."""
_STRATEGY = "vision_feature_select_strategy"
_TOWER = "vision_tower.vision_model."


@final
class Llava(SeeingFamily):
    """``model_type`` ``"llava"``, with Llama's decoder and CLIP's tower."""

    model_type = "llava"
    processor = "CLIP"
    token_key = _TOKEN
    architecture = "LlavaForConditionalGeneration"
    tower_type = "clip_vision_model"
    tower_types = ("clip_vision_model",)
    body = ("language_model.model.", "model.language_model.", "language_model.")
    head = ("language_model.lm_head.", "lm_head.")
    keys = ConfigKeys(
        read={
            "architectures": None,
            TEXT: None,
            VISION: None,
            _TOKEN: 32000,
            _ACT: "gelu",
            _STRATEGY: "default",
            _LAYER: -2,
            _BIAS: True,
            TIED: False,
        },
        # the number of vectors follows from the tower's
        inert=key_set("image_seq_length ignore_index vocab_size"),
        aliases={"image_token_id": _TOKEN},
        parts={
            TEXT: Llama.keys,
            VISION: CLIP_TOWER_KEYS.but(inert=("vocab_size",)),
        },
    )

    def tied(self, whole: HfConfig, text: HfConfig) -> bool:
        # transformers takes the part's word where the whole says nothing
        return whole.flag(TIED, default=False) or text.flag(TIED, default=False)

    def sight(self, whole: HfConfig, vision: HfConfig, width: int) -> SightConfig:
        tower, bias = picture_tower(vision, token=True), whole.flag(_BIAS, default=True)
        connector = FeedForwardConfig(
            widths=(tower.embedding.width, width, width),
            activation=whole.choice(_ACT, ACTIVATIONS, "gelu"),
            final_activation="none",
            bias=bias,
        )
        return SightConfig(
            pictures=tower,
            connector=connector,
            token=whole.whole(_TOKEN, least=0),
            depth=_depth(whole, vision.whole("num_hidden_layers")),
            skipped=whole.choice(_STRATEGY, _SKIPPED, "default"),
        )

    def write_sight(self, sight: SightConfig) -> tuple[dict[str, Any], dict[str, Any]]:
        names = {skipped: name for name, skipped in _SKIPPED.items()}
        if sight.depth is None or sight.skipped not in names:
            raise CheckpointError(
                f"expected a depth, and 0 or 1 vectors skipped, got {sight!r:.80}"
            )
        tower = write_tower(sight.pictures)
        own = {
            _TOKEN: sight.token,
            _ACT: name_of_activation(sight.connector.activation),
            _BIAS: sight.connector.bias,
            _STRATEGY: names[sight.skipped],
            _LAYER: sight.depth - tower["num_hidden_layers"] - 1,
            "image_seq_length": sight.count,
        }
        return own, tower

    def sight_rules(self, sight: SightConfig) -> Iterator[Rule]:
        for rule in tower_rules(_TOWER, sight.pictures):
            yield _with_names(
                rule, _TOWER, "vision_tower.", "model.vision_tower.", f"model.{_TOWER}"
            )
        projector = "multi_modal_projector."
        for number, layer in enumerate(("linear_1", "linear_2")):
            for leaf in ("weight", "bias"):
                rule = Rule(f"{projector}{layer}.{leaf}", f"connector.layers.{number}.{leaf}")
                yield _with_names(rule, projector, f"model.{projector}")


def _with_names(rule: Rule, prefix: str, *others: str) -> Rule:
    """A rule that reads its name with other prefixes, too."""
    own = rule.theirs.removeprefix(prefix)
    return Rule(rule.theirs, rule.ours, also=tuple(o + own for o in others), stored=rule.stored)


def _depth(whole: HfConfig, layers: int) -> int:
    """Through how many layers a picture goes: the number of a hidden state, 0 before the first."""
    number = whole.values[_LAYER]
    if type(number) is int:
        depth = number if number >= 0 else layers + 1 + number
        if 1 <= depth <= layers:
            return depth
    raise whole.error(_LAYER, f"one layer of 1 … {layers}, or of -{layers} … -1", number)
