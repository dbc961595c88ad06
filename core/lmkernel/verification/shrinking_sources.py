"""What reads pictures and sounds, made small: few patches, short frames, narrow convolutions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.config import TransformerConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.config import (
        EmbeddingConfig,
        ModelConfig,
        PairConfig,
        PatchConfig,
        SightConfig,
        WaveConfig,
    )

    Shrink = Callable[[ModelConfig], ModelConfig]

__all__ = ["with_few_tower_layers", "with_small_pair", "with_small_sight", "with_small_source"]

_PATCH, _GRID, _FRAMES, _BINS = 4, 3, 40, 12
_CONVOLVED, _KERNEL, _VECTOR = 20, 8, 40
_TOWER_LAYERS = 3


def with_small_source(config: ModelConfig) -> ModelConfig:
    """A model whose embedding reads few patches, frames or channels; others are as they were."""
    own = config.embedding
    if own.patches is not None:
        small = _with_grid(own, _GRID)
        return replace(config, embedding=small, context=config.context and small.context)
    if own.waves is not None:
        return replace(config, embedding=replace(own, waves=_waves(own.waves)))
    if "bins" in own.options:
        options = {**own.options, "bins": min(_BINS, own.options["bins"])}
        context = min(_FRAMES, own.context)
        return replace(config, embedding=replace(own, options=options, context=context))
    return config


def with_small_pair(config: ModelConfig, pair: PairConfig, shrink: Shrink) -> ModelConfig:
    """A small tower of texts with a small tower of pictures, whose vectors are of one size.

    Args:
        config: the small tower of texts.
        pair: what stands beside the large one.
        shrink: makes a model small.
    """
    tower = shrink(pair.pictures)
    if tower.head is None or config.head is None:
        raise AssertionError("expected heads, without which there is no pair")
    # without a product a vector is as wide as the tower
    size = _VECTOR if tower.head.product else tower.head.size
    pictures = replace(tower, head=replace(tower.head, size=size))
    head = replace(config.head, size=size)
    return replace(config, head=head, pair=replace(pair, pictures=pictures))


def with_small_sight(config: ModelConfig, sight: SightConfig, shrink: Shrink) -> ModelConfig:
    """A small decoder that is shown pictures by a small tower.

    Args:
        config: the small decoder.
        sight: what the large one is shown pictures by.
        shrink: makes a model small.
    """
    tower, width = shrink(sight.pictures), config.embedding.width
    patches = sight.pictures.embedding.patches
    if patches is not None:
        # squares of patches need as many as a multiple of their side
        side = max(_GRID, 2 * sight.joined)
        tower = replace(tower, embedding=_with_grid(tower.embedding, side))
        tower = replace(tower, context=tower.embedding.context)
    before = sight.connector.widths
    widths = tuple(width if n == before[-1] else n for n in before[1:])
    into = tower.embedding.width * sight.joined**2
    made = replace(
        sight,
        pictures=tower,
        connector=replace(sight.connector, widths=(into, *widths)),
        token=min(sight.token, config.embedding.vocab - 1),
    )
    return replace(config, sight=made)


def with_few_tower_layers(config: ModelConfig) -> ModelConfig:
    """The same with few layers in the tower of pictures beside it; as many are left unused."""
    if config.pair is not None:
        pictures = _few(config.pair.pictures)
        return replace(config, pair=replace(config.pair, pictures=pictures))
    sight = config.sight
    if sight is None:
        return config
    pictures = _few(sight.pictures)
    lost = _layers(sight.pictures) - _layers(pictures)
    depth = None if sight.depth is None else max(1, sight.depth - lost)
    return replace(config, sight=replace(sight, pictures=pictures, depth=depth))


def _few(tower: ModelConfig) -> ModelConfig:
    stack = tower.encoder
    if not isinstance(stack, TransformerConfig) or stack.different:
        return tower
    return replace(tower, encoder=replace(stack, layers=min(stack.layers, _TOWER_LAYERS)))


def _layers(tower: ModelConfig) -> int:
    stack: Any = tower.encoder
    return int(stack.layers)


def _patches(own: PatchConfig, side: int) -> PatchConfig:
    """Square patches in a square, as all families take them."""
    size = min(_PATCH, own.patch_height, own.patch_width)
    pixels = size * side
    return replace(own, height=pixels, width=pixels, patch_height=size, patch_width=size)


def _with_grid(own: EmbeddingConfig, side: int) -> EmbeddingConfig:
    if own.patches is None:
        return own
    patches = _patches(own.patches, side)
    return replace(own, patches=patches, context=own.context and patches.count)


def _waves(own: WaveConfig) -> WaveConfig:
    """Convolutions of unequal widths; an even kernel that tells positions stays even."""
    widths = tuple(_CONVOLVED + 4 * (i % 3) for i in range(len(own.widths)))
    kernel = min(own.position_kernel, _KERNEL - own.position_kernel % 2)
    return replace(own, widths=widths, position_kernel=kernel)
