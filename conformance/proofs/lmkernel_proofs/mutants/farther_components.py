"""Components that are wrong where it is rare: gaps, ties, decays, heads, adapters, metrics."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.components import experts, positions
from lmkernel.components.transformer import _Views
from lmkernel.interfaces import Loss
from lmkernel.model import head, initialization
from lmkernel.training.step.metrics import Metrics
from lmkernel.training.step.trainable import Adapters
from lmkernel_proofs.mutants.changed import with_decoder
from lmkernel_proofs.mutants.mutant import Mutant, Patch, component
from lmkernel_proofs.mutants.wrappers import with_call

if TYPE_CHECKING:
    from lmkernel.config import TransformerConfig

__all__ = ["MUTANTS"]

# what is patched, as it is
_biases, _buckets = positions.linear_biases, positions._buckets  # noqa: SLF001
_best, _within = experts.find_best, experts._within_groups  # noqa: SLF001
_view, _blank = _Views.of, head._blank_at_padding  # noqa: SLF001
_initialize, _merge = initialization._initialize, Adapters.merge  # noqa: SLF001
_add = Metrics.add


def by_place(ops: Any, queries: Any, keys: Any, *rest: Any) -> Any:
    """Linear biases follow places in a row."""

    def places(x: Any) -> Any:
        row = ops.reshape(ops.arange(0, x.shape[1], "int32"), (1, -1))
        return ops.broadcast_to(row, x.shape)

    return _biases(ops, places(queries), places(keys), *rest)


def late_buckets(buckets: int, distance: int, causal: bool) -> Any:
    """What is far belongs to the bucket of what is one nearer."""
    found = _buckets(buckets, distance, causal)
    ahead = np.arange(-distance, distance + 1)
    nearer = np.where(np.abs(ahead) > buckets // 2, ahead - np.sign(ahead), ahead)
    return found[nearer + distance]


def _of_memory(**wrong: Any) -> Any:
    """Attention to a memory is configured another way."""

    def changed(config: TransformerConfig) -> TransformerConfig:
        return replace(config, cross=config.cross and replace(config.cross, **wrong))

    return with_decoder(changed)


def last_of_ties(ops: Any, scores: Any, count: int) -> Any:
    """Of experts that score alike the last is chosen."""
    size = scores.shape[1]
    back = ops.asarray(np.arange(size)[::-1], "int32")
    indices, values = _best(ops, ops.take(scores, back, 1), count)
    return [ops.full((), size - 1, "int32") - index for index in indices], values


def zero_outside(ops: Any, choice: Any, config: Any) -> Any:
    """What is outside the best groups scores zero."""
    kept = _within(ops, choice, config)
    outside = kept < ops.full((), -1e29, ops.dtype(choice))
    return ops.where(outside, ops.full((), 0.0, ops.dtype(choice)), kept)


def plain_softplus(ops: Any, x: Any) -> Any:
    """log(1 + eˣ) as it stands."""
    with np.errstate(over="ignore"):
        return ops.log(ops.full((), 1.0, ops.dtype(x)) + ops.exp(x))


def one_turn(self: Any, layer: Any, recent: int | None = None) -> Any:
    """Layers that see alike turn alike, as the first of them does."""
    alike = (layer.attention.window, layer.attention.alibi, layer.attention.relative, recent)
    known = self.__dict__.setdefault("alike", {})
    if layer.attention.rotary is None or layer.attention.window is None:
        return _view(self, layer, recent)
    return known.setdefault(alike, _view(self, layer, recent))


def nothing_dropped(ops: Any, x: Any, rate: float, key: Any, site: int) -> Any:
    """A head drops nothing."""
    del ops, rate, key, site
    return x


def key_of_the_batch(ops: Any, x: Any, rate: float, key: Any, site: int) -> Any:
    """A head draws as the first of all sites does."""
    del site
    return ops.dropout(x, key, rate) if key is not None and rate else x


def first_class_at_padding(ops: Any, y: Any, blank: int, where: Any) -> Any:
    """Padding says the first class."""
    del blank
    return _blank(ops, y, 0, where)


def real_blanks(ops: Any, y: Any, blank: int, where: Any) -> Any:
    """Padding keeps its scores."""
    del ops, blank, where
    return y


def _decided(ops: Any, config: Any) -> Any:
    """A share of a binary target above a half is all of it."""
    del config

    def call(inner: Any, outputs: Any, targets: Any) -> Any:
        t = ops.astype(targets, ops.dtype(outputs))
        half, one, zero = (ops.full((), v, ops.dtype(outputs)) for v in (0.5, 1.0, 0.0))
        return inner(outputs, ops.where(t < zero, t, ops.where(t > half, one, zero)))

    return call


def shallow(param: Any, init: Any, depth: float) -> Any:
    """What writes to the stream begins smaller by the number of sums, not by its root."""
    return _initialize(param, init, depth**2)


def one_root(param: Any, init: Any, depth: float) -> Any:
    """A layer is taken for one sum."""
    return _initialize(param, init, max(depth / math.sqrt(2), 1.0))


def by_root(self: Any) -> float:
    """Alpha is divided by the root of the rank (arXiv:2312.03732)."""
    scale: float = self._config.alpha / math.sqrt(self._config.rank)
    return scale


def merge_unscaled(self: Any, values: Any, adapters: Any) -> Any:
    """Merged adapters are not scaled."""
    scale = self._scale
    return _merge(self, values, {n: x / scale if n[-1] == "b" else x for n, x in adapters.items()})


def mean_of_means(self: Any, sums: Any, targets: Any) -> None:
    """Each batch counts alike."""
    count = float(sums["count"])
    mean = float(sums["total"]) / max(count, 1.0)
    each: dict[str, Any] = {"total": mean, "count": min(count, 1.0)}
    _add(self, {**sums, **each}, targets)


def with_ignored(self: Any, sums: Any, targets: Any) -> None:
    """What is predicted where nothing is asked counts as wrong."""
    size = int(sums["predicted"].max()) + 1 if "predicted" in sums else 0
    _add(self, sums, np.where(targets < 0, size, targets))


def _mutant(name: str, where: str, broken: Any, level: str = "components") -> Mutant:
    return Mutant(id=f"farther.{name}", level=level, patch=Patch(f"lmkernel.{where}", broken))


_BINARY = "binary_cross_entropy"
MUTANTS = (
    _mutant("alibi_by_place", "components.transformer.linear_biases", by_place),
    _mutant("late_buckets", "components.positions._buckets", late_buckets),
    Mutant(id="farther.scale_of_memory", level="components", make=_of_memory(scale=0.5)),
    Mutant(id="farther.memory_unbounded", level="components", make=_of_memory(softcap=None)),
    _mutant("last_of_ties", "components.experts.find_best", last_of_ties),
    _mutant("zero_outside", "components.experts._within_groups", zero_outside),
    _mutant("plain_softplus", "components.delta._softplus", plain_softplus),
    _mutant("one_turn", "components.transformer._Views.of", one_turn, "models"),
    _mutant("head_drops_nothing", "model.head.apply_dropout", nothing_dropped, "models"),
    _mutant("head_by_the_batch", "model.head.apply_dropout", key_of_the_batch, "models"),
    _mutant("first_at_padding", "model.head._blank_at_padding", first_class_at_padding, "models"),
    _mutant("scores_at_padding", "model.head._blank_at_padding", real_blanks, "models"),
    Mutant(
        id="farther.decided",
        level="components",
        make=component(f"loss:{_BINARY}", with_call(Loss, "loss", _BINARY, _decided)),
    ),
    _mutant("shallow", "model.initialization._initialize", shallow, "models"),
    _mutant("one_root", "model.initialization._initialize", one_root, "models"),
    _mutant("by_root", "training.step.trainable.Adapters._scale", property(by_root), "training"),
    _mutant("unscaled", "training.step.trainable.Adapters.merge", merge_unscaled, "training"),
    _mutant("mean_of_means", "training.step.metrics.Metrics.add", mean_of_means, "training"),
    _mutant("with_ignored", "training.step.metrics.Metrics.add", with_ignored, "training"),
)
