"""The Mistral family (arXiv:2310.06825): no biases, and a window unless it is null."""

from __future__ import annotations

from types import MappingProxyType
from typing import final

from lmkernel.families.gated import GATED_KEYS, GatedFamily

__all__ = ["Mistral"]


@final
class Mistral(GatedFamily):
    """``model_type`` ``"mistral"``; ``sliding_window`` counts the position itself, as ours does."""

    model_type, class_name = "mistral", "MistralForCausalLM"
    keys = GATED_KEYS.but(
        intermediate_size=14336,
        num_key_value_heads=8,
        max_position_embeddings=131072,
        sliding_window=4096,
        nullable=("sliding_window",),
    )
    carried = MappingProxyType({"sliding_window": "decoder.attention.window"})
