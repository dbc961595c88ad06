"""The Qwen3 family (arXiv:2505.09388): queries and keys are normalised, head by head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GatedFamily, Traits
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.llama import ATTENTION_BIAS
from lmkernel.families.names import Rule
from lmkernel.families.qwen2 import QWEN_KEYS
from lmkernel.families.windows import with_windows, write_window

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.family import HfConfig

__all__ = ["NORMS", "Qwen3"]

NORMS = tuple(
    Rule(
        f"model.layers.{{i}}.self_attn.{part}.weight",
        f"decoder.layers.{{i}}.attention.{part}.weight",
    )
    for part in ("q_norm", "k_norm")
)


@final
class Qwen3(GatedFamily):
    """``model_type`` ``"qwen3"``; some layers have a window, or all, or none."""

    model_type, class_name = "qwen3", "Qwen3ForCausalLM"
    keys = QWEN_KEYS.but(head_dim=128, attention_bias=False)
    traits = Traits(qk_norm=True)
    carried = ATTENTION_BIAS
    more = NORMS
    layout = GgufArchitecture(
        class_name="Qwen3ForCausalLM", qk_norm=True, flags=("attention_bias",)
    )

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        return with_windows(config, model)

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        return write_window(config)
