"""The Ministral family: Mistral whose layers say one by one whether they have the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GatedFamily, decoder_of
from lmkernel.families.mistral import MISTRAL_KEYS, with_own_windows
from lmkernel.families.windows import write_kinds

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Ministral"]


@final
class Ministral(GatedFamily):
    """``model_type`` ``"ministral"``."""

    model_type, class_name = "ministral", "MinistralForCausalLM"
    keys = MISTRAL_KEYS

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        return with_own_windows(model, config)

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        return write_kinds(decoder_of(config), 4096)
