"""Sliding windows as Qwen's configurations spell them: by layer, of which ours have one for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.families.gated import decoder_of

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.family import HfConfig

__all__ = ["one_window", "write_window"]

_FULL, _SLIDING = "full_attention", "sliding_attention"


def one_window(config: HfConfig) -> int | None:
    """The one window of all layers.

    Without ``layer_types``, layers from number ``max_window_layers`` on have a window.

    Raises:
        CheckpointError: some layers have a window and others have none.
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


def write_window(config: ModelConfig) -> dict[str, Any]:
    """The keys that `one_window` reads."""
    stack = decoder_of(config)
    window = stack.attention.window
    return {
        "use_sliding_window": window is not None,
        "sliding_window": window,
        "max_window_layers": stack.layers if window is None else 0,
        "layer_types": [_FULL if window is None else _SLIDING] * stack.layers,
    }
