"""The Mistral family (arXiv:2310.06825): no biases, and a window if the configuration has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GatedFamily, Traits, decoder_of, read_gated, write_gated

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.family import HfConfig

__all__ = ["Mistral"]


@final
class Mistral(GatedFamily):
    """``model_type`` ``"mistral"``; ``sliding_window`` counts the position itself, as ours does."""

    def read(self, config: HfConfig) -> ModelConfig:
        window = config.whole("sliding_window") if config.has("sliding_window") else None
        return read_gated(config, Traits(window=window, context=4096 * 32))

    def write(self, config: ModelConfig) -> dict[str, Any]:
        window = decoder_of(config).attention.window
        written = write_gated(config, "mistral", "MistralForCausalLM")
        return {**written, "sliding_window": window}
