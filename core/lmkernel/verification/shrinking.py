"""A model's configuration, made small: the structure stays, and no two extents are alike.

Few heads keep the number of queries for each key head as far as that goes, what was equal stays
equal (such as ``heads · head_dim`` and the width), and the window and the context shrink so far
that a prompt of some hundred tokens is beyond them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.config import (
    AttentionConfig,
    DeltaConfig,
    LatentConfig,
    LayerConfig,
    MlpConfig,
    RelativeConfig,
)
from lmkernel.verification.shrinking_sources import (
    with_few_tower_layers,
    with_small_pair,
    with_small_sight,
    with_small_source,
)
from lmkernel.verification.structure import (
    change_every,
    top_transformer,
    transformers,
    with_layers,
)

if TYPE_CHECKING:
    from lmkernel.config import (
        EmbeddingConfig,
        ExpertsConfig,
        ModelConfig,
        RotaryConfig,
        TransformerConfig,
    )

__all__ = ["LAYERS", "with_every_kind_of_layer", "with_small_widths"]

LAYERS = 4
"""The most layers of a twin, unless its layers are of more kinds or it is told otherwise."""
_MOST_LAYERS = 8
_HEAD_DIM, _KV_HEADS, _MOST_HEADS = 16, 2, 6
_EXPERTS = 8
_RANK, _QUERY_RANK, _VALUE_DIM, _KEY_DIM = 20, 28, 14, 10
_WINDOW, _CONTEXT, _ORIGINAL, _VOCAB, _TARGET_VOCAB = 24, 256, 64, 211, 197


def with_every_kind_of_layer(config: ModelConfig) -> ModelConfig:
    """The same with few layers, of which each kind is one at least.

    They are the first ones, unless a kind comes late: then they are the first of each kind.
    """
    for name, stack in transformers(config).items():
        config = with_layers(config, _of_every_kind(stack), name)
    return with_few_tower_layers(config)


def _of_every_kind(stack: TransformerConfig) -> list[int]:
    """The numbers of few layers."""
    # which of several tables of distances a layer has is no kind
    kinds = change_every(stack.different, RelativeConfig, lambda own: replace(own, table=0))
    kinds = kinds or (LayerConfig(),) * stack.layers
    first = [i for i, kind in enumerate(kinds) if kind not in kinds[:i]]
    count = min(max(LAYERS, first[-1] + 1), stack.layers)
    if count <= _MOST_LAYERS:
        return list(range(count))
    others = [i for i in range(stack.layers) if i not in first]
    return sorted([*first, *others[: max(LAYERS - len(first), 0)]])


def with_small_widths(config: ModelConfig, *, vocab: int | None = None) -> ModelConfig:
    """The same with small extents.

    Args:
        config: a model of transformer layers.
        vocab: the number of tokens, where it must stay as it is.
    """
    pair, sight = config.pair, config.sight
    small = _with_small_stacks(replace(config, pair=None, sight=None), vocab)
    if pair is not None:
        return with_small_pair(small, pair, with_small_widths)
    if sight is not None:
        return with_small_sight(small, sight, with_small_widths)
    return small


def _with_small_stacks(config: ModelConfig, vocab: int | None) -> ModelConfig:
    """A model by itself."""
    _, stack = top_transformer(config)
    attention, embedding = _attention(stack.attention), config.embedding
    width, before = attention.width, stack.attention
    tokens = vocab or min(_VOCAB, embedding.vocab)
    rotary = embedding.rotary and _rotary(embedding.rotary, before, attention)
    context = _context(config.context, embedding.rotary, rotary)

    def small(own: EmbeddingConfig) -> EmbeddingConfig:
        return replace(
            own,
            width=width,
            # a target's own tokens are as many fewer or more
            vocab=tokens if own.vocab == embedding.vocab else min(_TARGET_VOCAB, own.vocab),
            rotary=rotary,
            relative=_relative(own.relative, attention.heads, width),
            more_rotary=tuple(_rotary(one, before, attention) for one in own.more_rotary),
            context=min(context, own.context) if own.context else 0,
            # a scale that is the root of the width stays that
            scale=width**0.5 if own.scale == own.width**0.5 else own.scale,
        )

    source, target = small(embedding), config.target_embedding and small(config.target_embedding)
    head = config.head
    # a pooler is as wide as the model, and the output has as many channels as there are tokens
    known = {stack.width: width, embedding.vocab: source.vocab}
    if config.target_embedding is not None and target is not None:
        known[config.target_embedding.vocab] = target.vocab
    parts: dict[str, Any] = {
        **{name: _stack(own, width) for name, own in transformers(config).items()},
        "embedding": source,
        "target_embedding": target,
        "head": head
        and replace(
            head,
            width=width,
            size=head.size if head.labels else known.get(head.size, head.size),
            scale=width**-0.5 if head.scale == stack.width**-0.5 else head.scale,
            skipped=None if head.skipped is None else min(head.skipped, source.vocab - 1),
            token=None if head.token is None else min(head.token, source.vocab - 1),
            pool=head.pool
            and replace(
                head.pool, heads=attention.heads, mlp=_mlp(head.pool.mlp, stack.width, width)
            ),
        ),
    }
    return with_small_source(replace(config, **parts, context=context))


def _stack(stack: TransformerConfig, width: int) -> TransformerConfig:
    """With every layer small; widths are checked together, so all change at once."""
    different = change_every(stack.different, AttentionConfig, lambda own: _attention(own, width))
    different = change_every(different, MlpConfig, lambda mlp: _mlp(mlp, stack.width, width))
    return replace(
        stack,
        width=width,
        attention=_attention(stack.attention),
        cross=stack.cross and replace(_attention(stack.cross), memory_width=width),
        mlp=_mlp(stack.mlp, stack.width, width),
        different=different,
    )


def _attention(own: AttentionConfig, stack: int = 0) -> AttentionConfig:
    """Few heads: 6 for 2 where they are grouped, else 4 for 4 or 6 for 1.

    Heads of the delta rule say nothing of the width, which the stack has.
    """
    if own.delta is not None:
        return _delta(own, own.delta, stack)
    grouped = 1 < own.kv_heads < own.heads
    kv = _KV_HEADS if grouped else 1 if own.kv_heads == 1 else 4
    heads = kv * min(own.heads // own.kv_heads, _MOST_HEADS // kv) if kv < own.heads else own.heads
    kv = min(kv, heads)
    width = heads * _HEAD_DIM
    if own.heads * own.head_dim != own.width:
        width -= _HEAD_DIM // 2 if own.heads * own.head_dim > own.width else -_HEAD_DIM // 2
    return replace(
        own,
        width=width,
        heads=heads,
        kv_heads=kv,
        head_dim=_HEAD_DIM,
        scale=_scale(own),
        relative=_relative(own.relative, heads, width),
        window=own.window and min(own.window, _WINDOW),
        interleaved=_even_part(own.interleaved, own.head_dim),
        latent=own.latent and _latent(own.latent, own.head_dim),
    )


def _delta(own: AttentionConfig, delta: DeltaConfig, width: int) -> AttentionConfig:
    """Two heads of keys, each for as many heads of values as it was, up to three."""
    heads = _KV_HEADS * min(own.heads // delta.key_heads, _MOST_HEADS // _KV_HEADS)
    return replace(
        own,
        width=width or heads * _HEAD_DIM,
        heads=heads,
        kv_heads=heads,
        head_dim=_VALUE_DIM,
        scale=0.0 if own.scale == delta.key_dim**-0.5 else own.scale,
        delta=replace(delta, key_heads=_KV_HEADS, key_dim=_KEY_DIM),
    )


def _scale(own: AttentionConfig) -> float:
    """The usual one (0), the root of as many times a head's size as it was, or the model's own."""
    if own.scale == own.head_dim**-0.5:
        return 0.0
    if own.latent is not None:
        return own.scale * float((own.head_dim / _HEAD_DIM) ** 0.5)
    times = own.scale**-2 / own.head_dim
    whole = math.isclose(times, round(times), rel_tol=1e-9)
    return float((_HEAD_DIM * round(times)) ** -0.5) if whole else own.scale


def _latent(own: LatentConfig, head_dim: int) -> LatentConfig:
    return replace(
        own,
        rank=_RANK,
        turned=_even_part(own.turned, head_dim),
        value_dim=_VALUE_DIM,
        query_rank=own.query_rank and _QUERY_RANK,
    )


def _relative(own: Any, heads: int, width: int) -> Any:
    """Biases or vectors of distances, for so many heads or of such a width."""
    if own is None:
        return None
    fits = {"heads": heads} if isinstance(own, RelativeConfig) else {"width": width}
    return replace(own, **fits)


def _even_part(count: int, head_dim: int) -> int:
    """As large a part of a small head, an even number; none stays none."""
    return count and max(2, count * _HEAD_DIM // head_dim // 2 * 2)


def _mlp(own: MlpConfig, before: int, width: int) -> MlpConfig:
    # a multiple of 8, since some libraries ask for it, and of no other extent; four times the width
    # is all that some families have
    hidden = 4 * width if own.hidden == 4 * before else 2 * width + 24
    return replace(own, hidden=hidden, experts=own.experts and _experts(own, hidden, width))


def _experts(own: MlpConfig, hidden: int, width: int) -> ExpertsConfig:
    """Small experts, and few where they are not in groups."""
    experts = own.experts
    if experts is None:
        raise AssertionError("expected experts, which the caller has looked for")
    count, chosen = experts.count, experts.chosen
    if experts.groups == 1 and count > _EXPERTS:
        count, chosen = _EXPERTS, min(chosen, _EXPERTS // 2 - 1)
    inner = hidden if experts.hidden == own.hidden else width + 8
    # some families have as many times an expert's extent, and no other
    times, rest = divmod(experts.shared, experts.hidden)
    shared = times * inner if not rest else width + 40
    return replace(experts, count=count, chosen=chosen, hidden=inner, shared=shared)


def _rotary(own: RotaryConfig, before: AttentionConfig, after: AttentionConfig) -> RotaryConfig:
    dim = _even_part(own.dim, before.head_dim) if after.head_dim == _HEAD_DIM else own.dim
    half, old = dim // 2, own.dim // 2

    def pick(factors: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(factors[i * old // half] for i in range(half)) if factors else ()

    return replace(
        own,
        dim=dim,
        original_context=_original(own),
        short_factors=pick(own.short_factors),
        long_factors=pick(own.long_factors),
        still=own.still * half // old,
    )


def _original(own: RotaryConfig) -> int:
    """Small where it counts; dynamic scaling begins where the context ends."""
    small = {"none": own.original_context, "linear": own.original_context, "dynamic": _ORIGINAL}
    return min(own.original_context, small.get(own.scaling, _ORIGINAL))


def _context(own: int, before: RotaryConfig | None, after: RotaryConfig | None) -> int:
    """Small, and as many times the original context as it was."""
    if before is None or after is None or before.scaling in ("none", "linear"):
        return min(own, _CONTEXT)
    if before.scaling == "dynamic":
        return after.original_context
    times = max(own / before.original_context, before.factor)
    return min(own, max(_CONTEXT, int(times * after.original_context)))
