"""Sliding windows as Qwen's configurations spell them: of one size, in some layers or in all."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.config import LayerConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.gated import decoder_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.config import ModelConfig
    from lmkernel.families.family import HfConfig

__all__ = ["WINDOW_KEYS", "with_windows", "write_window"]

_FULL, _SLIDING = "full_attention", "sliding_attention"
_OLD: Mapping[str, str] = MappingProxyType({"attention": _FULL})
_MOST = 10_000  # layers, which nobody has compared with the tensors yet
WINDOW_KEYS: Mapping[str, Any] = MappingProxyType(
    {
        "use_sliding_window": False,
        "sliding_window": 4096,
        "max_window_layers": 28,
        "layer_types": None,
    }
)
"""The keys that are read here, with what they are where a file does not have them."""


def with_windows(config: HfConfig, model: ModelConfig) -> ModelConfig:
    """A model with the window that a configuration, with all its keys, gives some of its layers.

    Without ``layer_types``, layers from number ``max_window_layers`` on have a window.

    Raises:
        CheckpointError: the keys contradict each other.
    """
    kinds, window = _kinds(config), _window(config)
    stack = decoder_of(model)
    if _SLIDING not in kinds:
        return model
    if window is None:
        raise config.error("layer_types", f"{_FULL} alone where there is no window", _SLIDING)
    sliding = replace(stack.attention, window=window)
    if _FULL not in kinds:
        return replace(model, decoder=replace(stack, attention=sliding))
    full, same = LayerConfig(attention=stack.attention), LayerConfig()
    different = tuple(same if kind == _SLIDING else full for kind in kinds)
    return replace(model, decoder=replace(stack, attention=sliding, different=different))


def _window(config: HfConfig) -> int | None:
    asked = config.flag("use_sliding_window", default=False) and config.has("sliding_window")
    return config.whole("sliding_window") if asked else None


def _kinds(config: HfConfig) -> tuple[str, ...]:
    """The kind of each layer; of layers that are all alike, the one kind that there is."""
    layers = config.whole("num_hidden_layers")
    kinds = tuple(_OLD.get(kind, kind) for kind in config.names("layer_types"))
    for kind in kinds:
        if kind not in (_FULL, _SLIDING):
            raise config.error("layer_types", f"{_FULL} or {_SLIDING}", kind)
    if kinds and len(kinds) != layers:
        expected = f"num_hidden_layers={layers} kinds, one for each layer"
        raise config.error("layer_types", expected, f"{len(kinds)} of them")
    first = config.whole("max_window_layers", least=0)
    if kinds or _window(config) is None or first >= layers:
        return kinds or (_FULL,)
    if not first:
        return (_SLIDING,)
    if layers > _MOST:
        raise config.error("num_hidden_layers", f"at most {_MOST} layers that differ", layers)
    return (_FULL,) * first + (_SLIDING,) * (layers - first)


def write_window(config: ModelConfig) -> dict[str, Any]:
    """The keys that `with_windows` reads.

    Raises:
        CheckpointError: layers differ in more than whether they have the window.
    """
    stack = decoder_of(config)
    window = stack.attention.window
    plain = replace(stack.attention, window=None)
    own = stack.different or (LayerConfig(),) * stack.layers
    if any(layer.mlp or layer.attention not in (None, plain) for layer in own):
        raise CheckpointError("expected layers that differ in their window alone, one or none")
    kinds = [_SLIDING if window and layer.attention is None else _FULL for layer in own]
    return {
        "use_sliding_window": _SLIDING in kinds,
        "sliding_window": window,
        "max_window_layers": (*kinds, _SLIDING).index(_SLIDING),
        "layer_types": kinds,
    }
