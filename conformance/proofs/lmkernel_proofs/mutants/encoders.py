"""What ports of encoders get wrong: segments, norms, windows both ways, distances by tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.components import disentangled, positions, primitives
from lmkernel.config import DisentangledConfig, RelativeConfig
from lmkernel_proofs.mutants.changed import (
    with_attentions,
    with_embedding,
    with_embedding_call,
    with_encoder,
)
from lmkernel_proofs.mutants.mutant import Mutant, Patch

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.config import AttentionConfig, TransformerConfig
    from lmkernel.interfaces import Embedded
    from lmkernel_proofs.mutants.mutant import Replacement

__all__ = ["MUTANTS"]

_table = disentangled._table  # noqa: SLF001 - what is broken
_biases, _visible, _gate = positions.relative_biases, positions.visible, primitives.gate


def _one_segment(ops: Any, config: Any) -> Callable[..., Any]:
    """Every token is in the first segment."""
    del ops, config

    def call(inner: Any, params: Any, inputs: Any, places: Any, **options: Any) -> Embedded:
        given: Embedded = inner(params, inputs, places, **{**options, "segments": None})
        return given

    return call


def _sets_in_turn(config: TransformerConfig, sets: Any) -> list[Any]:
    """Layers take the sets of weights in turn, not several the first and several the next."""
    return [sets[i % len(sets)] for i in range(config.layers)]


def _plain_norm(own: Any, params: Any, name: str, given: Any) -> Any:
    """What a layer leaves as it is, is normalised, by weights of one."""
    config, ops, norm = own._config, own._ops, own._norm(params, name)  # noqa: SLF001 - a method's
    if not config.pre_norm:
        return given
    ones = ops.full((given.shape[-1],), 1.0 - config.norm.offset, ops.dtype(given))
    return primitives.normalize(ops, given, norm or {"weight": ones}, config.norm)


def _exchange_gate(ops: Any, gated: Any, up: Any, config: Any) -> Any:
    """The second half of the product is the gate, and the first is gated."""
    return _gate(ops, up, gated, config)


def _distances(**wrong: Any) -> Replacement:
    """Distances are scored by another configuration, where one side would be left to score."""

    def changed(config: AttentionConfig) -> AttentionConfig:
        own = config.relative
        if not isinstance(own, DisentangledConfig) or not (own.queries and own.keys):
            return config
        return replace(config, relative=replace(own, **wrong))

    return with_attentions(changed)


def _biases_of(**wrong: Any) -> Replacement:
    """Biases by distance are of another configuration."""

    def changed(config: AttentionConfig) -> AttentionConfig:
        own = config.relative
        if not isinstance(own, RelativeConfig):
            return config
        return replace(config, relative=replace(own, **wrong))

    return with_attentions(changed)


def _no_biases(config: AttentionConfig) -> AttentionConfig:
    """Distances add nothing to the scores."""
    biased = isinstance(config.relative, RelativeConfig)
    return replace(config, relative=None) if biased else config


def _turn_table(span: int, context: int) -> Any:
    """Distances are from the query to the key, not from the key to the query."""
    return _table(span, context)[::-1].copy()


def _look_forwards(
    ops: Any, queries: Any, keys: Any, table: Any, config: Any, *, causal: bool
) -> Any:
    """Distances are from the key to the query, not from the query to the key."""
    zero = ops.full((), 0, "int32")
    return _biases(ops, zero - queries, zero - keys, table, config, causal=causal)


def _look_back_only(
    ops: Any, queries: Any, keys: Any, table: Any, config: Any, *, causal: bool
) -> Any:
    """Buckets are those of a decoder, all for what comes before."""
    del causal
    return _biases(ops, queries, keys, table, config, causal=True)


def _in_one_go_alone(
    ops: Any, queries: Any, keys: Any, table: Any, config: Any, *, causal: bool
) -> Any:
    """In decoding, distances add nothing to the scores."""
    biases = _biases(ops, queries, keys, table, config, causal=causal)
    return biases if queries.shape == keys.shape else biases - biases


def _straight_buckets(buckets: int, distance: int, causal: bool) -> Any:
    """Every distance has a bucket of its own, until there are no more."""
    import numpy as np

    ahead = np.arange(-distance, distance + 1)
    each = buckets if causal else buckets // 2
    far = np.maximum(-ahead, 0) if causal else np.abs(ahead)
    return (np.minimum(far, each - 1) + (0 if causal else each * (ahead > 0))).astype(np.int32)


def _no_window(config: TransformerConfig) -> TransformerConfig:
    """Local layers see all positions."""
    own = tuple(
        replace(one, attention=one.attention and replace(one.attention, window=None))
        for one in config.different
    )
    return replace(config, attention=replace(config.attention, window=None), different=own)


def _see_ahead(
    ops: Any, queries: Any, keys: Any, *, causal: bool, window: int | None = None
) -> Any:
    """A window ends behind a query, and not before it."""
    whole = _visible(ops, queries, keys, causal=causal)
    if window is None or causal:
        return _visible(ops, queries, keys, causal=causal, window=window)
    batch, time = queries.shape
    behind = ops.reshape(queries, (batch, 1, time, 1)) - ops.reshape(keys, (batch, 1, 1, -1))
    return whole & (behind < ops.full((), window, "int32"))


MUTANTS = (
    Mutant(
        id="embedding.segments_ignored",
        level="components",
        make=with_embedding_call(_one_segment),
    ),
    Mutant(
        id="embedding.norm_ignored",
        level="components",
        make=with_embedding(lambda config: replace(config, norm=None)),
    ),
    Mutant(
        id="embedding.scale_ignored",
        level="components",
        make=with_embedding(lambda config: replace(config, scale=1.0)),
    ),
    Mutant(
        id="positions.padding_counted",
        level="components",
        make=with_embedding(lambda config: replace(config, uncounted=None)),
    ),
    Mutant(
        id="layers.norm_first",
        level="components",
        make=with_encoder(lambda config: replace(config, pre_norm=True)),
    ),
    Mutant(
        id="layers.first_norm_added",
        level="components",
        patch=Patch("lmkernel.components.layer.TransformerLayer._normed", _plain_norm),
    ),
    Mutant(
        id="layers.sets_in_turn",
        level="components",
        patch=Patch("lmkernel.config.layers.TransformerConfig.own", _sets_in_turn),
    ),
    Mutant(id="window.ignored_both_ways", level="components", make=with_encoder(_no_window)),
    Mutant(
        id="window.one_way",
        level="components",
        patch=Patch("lmkernel.components.transformer.visible", _see_ahead),
    ),
    Mutant(
        id="gates.exchanged",
        level="components",
        patch=Patch("lmkernel.components.layer.gate", _exchange_gate),
    ),
    Mutant(id="distances.of_queries", level="components", make=_distances(keys=False)),
    Mutant(id="distances.of_keys", level="components", make=_distances(queries=False)),
    Mutant(id="distances.straight", level="components", make=_distances(context=0)),
    Mutant(
        id="distances.backwards",
        level="components",
        patch=Patch("lmkernel.components.disentangled._table", _turn_table),
    ),
    Mutant(id="biases.ignored", level="components", make=with_attentions(_no_biases)),
    Mutant(
        id="biases.of_first_layer",
        level="components",
        make=_biases_of(table=0),
        seen="CTranslate2#2102",
    ),
    Mutant(
        id="biases.backwards",
        level="components",
        patch=Patch("lmkernel.components.transformer.relative_biases", _look_forwards),
        seen="mlx-examples#113",
    ),
    Mutant(
        id="biases.one_way",
        level="components",
        patch=Patch("lmkernel.components.transformer.relative_biases", _look_back_only),
    ),
    Mutant(
        id="biases.not_in_decoding",
        level="components",
        patch=Patch("lmkernel.components.transformer.relative_biases", _in_one_go_alone),
        seen="TensorRT-LLM#13870",
    ),
    Mutant(
        id="biases.straight",
        level="components",
        patch=Patch("lmkernel.components.positions._buckets", _straight_buckets),
    ),
)
