"""The Llama family (arXiv:2302.13971): biases if the configuration says so, every position seen."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel.families.gated import GATED_KEYS, GatedFamily
from lmkernel.families.gguf_architecture import GgufArchitecture

if TYPE_CHECKING:
    from lmkernel.families.carried import Carried

__all__ = ["ATTENTION_BIAS", "BIASES", "Llama"]

ATTENTION_BIAS: Carried = MappingProxyType(
    {"attention_bias": ("decoder.attention.bias", "decoder.attention.out_bias")}
)
"""What a configuration says of attention's biases, in this family and in others."""
BIASES: Carried = MappingProxyType({**ATTENTION_BIAS, "mlp_bias": "decoder.mlp.bias"})
"""The same, with those of the MLP."""


@final
class Llama(GatedFamily):
    """``model_type`` ``"llama"``."""

    model_type, class_name = "llama", "LlamaForCausalLM"
    keys = GATED_KEYS.but(attention_bias=False, mlp_bias=False)
    carried = BIASES
    layout = GgufArchitecture(class_name="LlamaForCausalLM", interleaved=True, flags=tuple(BIASES))
