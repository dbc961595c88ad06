"""The Mistral family (arXiv:2310.06825): no biases, and a window unless it is null.

Layers may say one by one whether they have the window, as Ministral's do; transformers'
``AutoConfig`` takes such a file for one of Ministral.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GATED_KEYS, GatedFamily, decoder_of
from lmkernel.families.windows import FULL, SLIDING, layer_kinds, with_kinds, write_kinds

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["MISTRAL_KEYS", "Mistral", "with_own_windows"]

MISTRAL_KEYS = GATED_KEYS.but(
    intermediate_size=14336,
    num_key_value_heads=8,
    max_position_embeddings=131072,
    sliding_window=4096,
    layer_types=None,
    nullable=("sliding_window",),
)


def with_own_windows(model: ModelConfig, config: HfConfig) -> ModelConfig:
    """A model with a window in the layers that ``layer_types`` names, or where it is not, in all.

    Raises:
        CheckpointError: an unknown kind, another number of them, or no size of a window.
    """
    if not config.has("layer_types"):
        # no layer is listed, however many a file says there are
        window = config.whole("sliding_window") if config.has("sliding_window") else None
        stack = decoder_of(model)
        same = replace(stack, attention=replace(stack.attention, window=window))
        return replace(model, decoder=same)
    kinds = layer_kinds(config, lambda _: FULL)
    window = config.whole("sliding_window") if SLIDING in kinds else None
    return with_kinds(model, kinds, {SLIDING: {"window": window}})


@final
class Mistral(GatedFamily):
    """``model_type`` ``"mistral"``; ``sliding_window`` counts the position itself, as ours does."""

    model_type, class_name = "mistral", "MistralForCausalLM"
    keys = MISTRAL_KEYS

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        return with_own_windows(model, config)

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        stack = decoder_of(config)
        alike = {"sliding_window": stack.attention.window, "layer_types": None}
        return write_kinds(stack, None) if stack.different else alike
