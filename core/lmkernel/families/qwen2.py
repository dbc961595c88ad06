"""The Qwen2 family (arXiv:2407.10671): queries, keys and values have biases, nothing else has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GatedFamily, Traits, read_gated, write_gated
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.windows import one_window, write_window

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.family import HfConfig

__all__ = ["Qwen2"]


@final
class Qwen2(GatedFamily):
    """``model_type`` ``"qwen2"``; all layers have the same window, or none has one."""

    def read(self, config: HfConfig) -> ModelConfig:
        return read_gated(config, Traits(bias=True, window=one_window(config), context=32768))

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return {**write_gated(config, "qwen2", "Qwen2ForCausalLM"), **write_window(config)}

    def gguf(self) -> GgufArchitecture:
        return GgufArchitecture(class_name="Qwen2ForCausalLM", qkv_bias=True)
