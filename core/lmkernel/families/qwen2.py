"""The Qwen2 family (arXiv:2407.10671): queries, keys and values have biases, nothing else has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.families.family import Family, HfConfig
from lmkernel.families.gated import RULES, Traits, decoder_of, ignored, read_gated, write_gated

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.names import Rule

__all__ = ["Qwen2"]

_FULL, _SLIDING = "full_attention", "sliding_attention"


@final
class Qwen2(Family):
    """``model_type`` ``"qwen2"``; all layers have the same window, or none has one."""

    def read(self, config: HfConfig) -> ModelConfig:
        return read_gated(config, Traits(bias=True, window=_window(config), context=32768))

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack = decoder_of(config)
        window = stack.attention.window
        return {
            **write_gated(config, "qwen2", "Qwen2ForCausalLM"),
            "use_sliding_window": window is not None,
            "sliding_window": window,
            "max_window_layers": stack.layers if window is None else 0,
            "layer_types": [_FULL if window is None else _SLIDING] * stack.layers,
        }

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        del config
        return RULES

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        return ignored(config)


def _window(config: HfConfig) -> int | None:
    """The one window of all layers.

    Without ``layer_types``, layers from number ``max_window_layers`` on have a window.
    """
    if not config.flag("use_sliding_window", default=False) or not config.has("sliding_window"):
        return None
    layers = config.whole("num_hidden_layers")
    first = min(config.whole("max_window_layers", 28, least=0), layers)
    kinds = config.names("layer_types") or (_FULL,) * first + (_SLIDING,) * (layers - first)
    if set(kinds) == {_FULL}:
        return None
    if set(kinds) != {_SLIDING}:
        key = "layer_types" if config.has("layer_types") else "max_window_layers"
        raise config.error(key, "a window in all layers or in none", ", ".join(kinds))
    return config.whole("sliding_window")
