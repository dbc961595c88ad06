"""The Mistral family (arXiv:2310.06825): no biases, and a window unless it is null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import (
    GATED_KEYS,
    GatedFamily,
    Traits,
    decoder_of,
    read_gated,
    write_gated,
)

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.family import HfConfig

__all__ = ["Mistral"]


@final
class Mistral(GatedFamily):
    """``model_type`` ``"mistral"``; ``sliding_window`` counts the position itself, as ours does."""

    keys = GATED_KEYS.but(
        intermediate_size=14336,
        num_key_value_heads=8,
        max_position_embeddings=131072,
        sliding_window=4096,
        nullable=("sliding_window",),
    )

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        window = config.whole("sliding_window") if config.has("sliding_window") else None
        return read_gated(config, Traits(window=window, context=131072))

    def write(self, config: ModelConfig) -> dict[str, Any]:
        window = decoder_of(config).attention.window
        written = write_gated(config, "mistral", "MistralForCausalLM")
        return {**written, "sliding_window": window}
