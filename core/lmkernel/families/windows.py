"""Sliding windows as Qwen's configurations spell them: of one size, in some layers or in all."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.config import LayerConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.gated import decoder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmkernel.config import ModelConfig, TransformerConfig
    from lmkernel.families.family import HfConfig

__all__ = [
    "FULL",
    "LINEAR",
    "SLIDING",
    "WINDOW_KEYS",
    "kinds_of",
    "layer_kinds",
    "stack_of",
    "with_kinds",
    "with_layers",
    "with_windows",
    "write_kinds",
    "write_window",
]

FULL, SLIDING, LINEAR = "full_attention", "sliding_attention", "linear_attention"
_OLD: Mapping[str, str] = MappingProxyType({"attention": FULL, "mamba": LINEAR})
WINDOW_KEYS: Mapping[str, Any] = MappingProxyType(
    {
        "use_sliding_window": False,
        "sliding_window": 4096,
        "max_window_layers": 28,
        "layer_types": None,
    }
)
"""The keys that are read here, with what they are where a file does not have them."""


def layer_kinds(
    config: HfConfig, usual: Callable[[int], str], known: tuple[str, str] = (FULL, SLIDING)
) -> tuple[str, ...]:
    """The kind of each layer: that of ``layer_types``, or else the usual one of its number.

    Args:
        config: with all its keys.
        usual: the kind of a layer where no list is there.
        known: the kinds of the family.

    Raises:
        CheckpointError: an unknown kind, or another number of them than of layers.
    """
    layers = config.whole("num_hidden_layers")
    kinds = tuple(_OLD.get(kind, kind) for kind in config.names("layer_types"))
    for kind in kinds:
        if kind not in known:
            raise config.error("layer_types", " or ".join(known), kind)
    if len(kinds) != layers and config.has("layer_types"):
        expected = f"num_hidden_layers={layers} kinds, one for each layer"
        raise config.error("layer_types", expected, f"{len(kinds)} of them")
    return kinds or tuple(map(usual, range(config.listed_layers())))


def with_kinds(
    model: ModelConfig, kinds: Sequence[str], own: Mapping[str, Mapping[str, Any]]
) -> ModelConfig:
    """A model whose layers are of several kinds, each with fields of attention of its own."""
    return with_layers(model, [own.get(kind, {}) for kind in kinds])


def with_layers(model: ModelConfig, own: Sequence[Mapping[str, Any]]) -> ModelConfig:
    """A model whose layers each have fields of attention of their own; the first is the stack's."""
    return replace(model, decoder=stack_of(decoder_of(model), own))


def stack_of(stack: TransformerConfig, own: Sequence[Mapping[str, Any]]) -> TransformerConfig:
    """A stack whose layers each have fields of attention of their own."""
    made = [replace(stack.attention, **fields) for fields in own]
    alike = all(attention == made[0] for attention in made)
    layers = (LayerConfig(attention=None if a == made[0] else a) for a in made)
    different = () if alike else tuple(layers)
    return replace(stack, attention=made[0], different=different)


def kinds_of(stack: TransformerConfig) -> list[str]:
    """The kind of each layer, by whether it has a window."""
    windows = [stack.layer(i).attention.window for i in range(stack.layers)]
    return [FULL if window is None else SLIDING for window in windows]


def write_kinds(stack: TransformerConfig, without: int | None) -> dict[str, Any]:
    """The one window of a stack and the kind of each layer; ``without`` is what says none."""
    windows = [stack.layer(i).attention.window or 0 for i in range(stack.layers)]
    return {"sliding_window": max(windows) or without, "layer_types": kinds_of(stack)}


def with_windows(
    config: HfConfig, model: ModelConfig, kinds: Sequence[str] | None = None
) -> ModelConfig:
    """A model with the window that a configuration, with all its keys, gives some of its layers.

    Without ``layer_types``, layers from number ``max_window_layers`` on have a window, unless the
    family has other ``kinds``.

    Raises:
        CheckpointError: the keys contradict each other.
    """
    kinds, window = kinds or _kinds(config), _window(config)
    stack = decoder_of(model)
    if SLIDING not in kinds:
        return model
    if window is None:
        raise config.error("layer_types", f"{FULL} alone where there is no window", SLIDING)
    sliding = replace(stack.attention, window=window)
    if FULL not in kinds:
        return replace(model, decoder=replace(stack, attention=sliding))
    full, same = LayerConfig(attention=stack.attention), LayerConfig()
    different = tuple(same if kind == SLIDING else full for kind in kinds)
    return replace(model, decoder=replace(stack, attention=sliding, different=different))


def _window(config: HfConfig) -> int | None:
    asked = config.flag("use_sliding_window", default=False) and config.has("sliding_window")
    return config.whole("sliding_window") if asked else None


def _kinds(config: HfConfig) -> tuple[str, ...]:
    """The kind of each layer; of layers that are all alike, the one kind that there is."""
    layers, first = config.whole("num_hidden_layers"), config.whole("max_window_layers", least=0)
    if not config.has("layer_types"):
        if _window(config) is None or first >= layers:
            return (FULL,)
        if not first:
            return (SLIDING,)
    return layer_kinds(config, lambda layer: FULL if layer < first else SLIDING)


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
    kinds = [SLIDING if window and layer.attention is None else FULL for layer in own]
    return {
        "use_sliding_window": SLIDING in kinds,
        "sliding_window": window,
        "max_window_layers": (*kinds, SLIDING).index(SLIDING),
        "layer_types": kinds,
    }
