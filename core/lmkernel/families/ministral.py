"""The Ministral family: Mistral whose layers say one by one whether they have the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GatedFamily, decoder_of
from lmkernel.families.mistral import Mistral
from lmkernel.families.windows import FULL, SLIDING, layer_kinds, with_kinds, write_kinds

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Ministral"]


@final
class Ministral(GatedFamily):
    """``model_type`` ``"ministral"``."""

    model_type, class_name = "ministral", "MinistralForCausalLM"
    keys = Mistral.keys.but(layer_types=None)

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        usual = SLIDING if config.has("sliding_window") else FULL
        kinds = layer_kinds(config, lambda _: usual)
        window = config.whole("sliding_window") if SLIDING in kinds else None
        return with_kinds(model, kinds, {SLIDING: {"window": window}})

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        return write_kinds(decoder_of(config), None)
