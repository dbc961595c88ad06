"""Layers, caches, heads and draws that go wrong where their options meet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lmkernel.components.attention import MultiHeadAttention
from lmkernel.components.primitives import activate, apply_dropout, normalize, scale
from lmkernel.generation import sampling
from lmkernel.model import head as heads
from lmkernel_proofs.mutants.mutant import Mutant, Patch, optional

__all__ = ["MUTANTS"]

_ROWS, _BLOCK = 8, 8
_ATTEND = MultiHeadAttention.__call__
_DRAW, _CANDIDATES = sampling.draw, sampling._candidates  # noqa: SLF001 - what is broken


def bounded_sinks(self: Any, params: Any, *rest: Any, **more: Any) -> Any:
    """The bound of the scores is put on the sinks as well."""
    ops, config = self._ops, self._config
    if config.sinks and config.softcap is not None:
        limit = ops.full((), config.softcap, ops.dtype(params["sinks"]))
        params = {**params, "sinks": ops.tanh(params["sinks"] / limit) * limit}
    return _ATTEND(self, params, *rest, **more)


def axis_by_extent(self: Any, params: Any, h: Any) -> Any:
    """The axis of the softmax is looked for by its extent, which another may have as well."""
    axis = list(h.shape).index(self._config.width)
    return self._ops.softmax(self.scores(params, h), axis)


def masks_of_eight(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """Rows beyond the eighth have the masks of the first ones."""
    if mask is not None and mask.shape[0] > _ROWS:
        rows = ops.asarray(np.arange(mask.shape[0]) % _ROWS, "int32")
        mask = ops.astype(ops.take(ops.astype(mask, "int32"), rows, 0), "bool")
    return ops.attention(q, k, v, mask, **options)


def grown_in_blocks(ops: Any, cache: Any, capacity: int) -> Any:
    """A cache that grows is copied in blocks of eight slots, without the rest."""
    if not isinstance(cache, dict):
        return ops.cache_grow(cache, capacity)

    def cut(x: Any) -> Any:
        rest = x.shape[2] % _BLOCK
        if x.shape[2] <= 2 * _BLOCK or not rest:
            return x
        end = ops.full((*x.shape[:2], rest, x.shape[3]), 0.0, ops.dtype(x))
        return ops.concat([x[:, :, : x.shape[2] - rest], end], 2)

    return ops.cache_grow({name: cut(x) for name, x in cache.items()}, capacity)


def offset_of_rms_alone(ops: Any, x: Any, params: Any, config: Any) -> Any:
    """Weights of layer norms are not offset."""
    if config.kind == "layer":
        config = replace(config, offset=0.0)
    return normalize(ops, x, params, config)


def _added(*, scaled_first: bool, unscaled: bool) -> Any:
    """How a sublayer's output is added, with a step out of its place or left out."""

    def add(
        self: Any, params: Any, name: str, x: Any, f: Any, key: Any, site: int, given: Any
    ) -> Any:
        ops, c = self._ops, self._config
        y = f(self._normed(params, name, given))
        steps = [lambda y: normalize(ops, y, params[f"{name}_output_norm"], c.norm)]
        steps = steps if c.output_norm else []
        if c.layer_scale:
            steps.append(lambda y: y * params[f"{name}_scale"]["weight"])
        for step in reversed(steps) if scaled_first else steps:
            y = step(y)
        y = apply_dropout(ops, y, c.dropout, key, self._site + site)
        alone = unscaled and c.parallel and name == "mlp"
        x = x + (y if alone else scale(ops, y, c.residual_scale))
        if c.pre_norm or c.output_norm:
            return x
        return normalize(ops, x, self._norm(params, name), c.norm)

    return add


def two_arguments(ops: Any, f: Any) -> Any:
    """What is computed again is differentiated by its first two arguments alone."""
    inner = ops.remat(f)

    def stopped(x: Any) -> Any:
        if isinstance(x, dict):
            return {name: stopped(part) for name, part in x.items()}
        if isinstance(x, list | tuple):
            return type(x)(stopped(part) for part in x)
        return x if x is None else ops.stop_gradient(x)

    def call(*args: Any, **named: Any) -> Any:
        return inner(*args[:2], *map(stopped, args[2:]), **named)

    return call


def bounded_first(ops: Any, x: Any, params: Any, config: Any, weight: Any, **where: Any) -> Any:
    """Logits are bounded before they are scaled."""
    if config.softcap is None or config.scale == 1:
        return heads.head(ops, x, params, config, weight, **where)
    plain = replace(config, scale=1.0, activation="none")
    y = scale(ops, heads.head(ops, x, params, plain, weight, **where), config.scale)
    return activate(ops, y, config.activation)


def step_in_a_byte(seed: int, row: int, step: int) -> float:
    """Draws begin again after 256 steps."""
    return _DRAW(seed, row, step % 256)


def half_a_seed(seed: int, row: int, step: int) -> float:
    """Of a seed, the low 32 bits are used."""
    return _DRAW(seed % 2**32, row, step)


def before_temperature(probabilities: Any, options: Any) -> Any:
    """min-p is judged by the probabilities before the temperature."""
    kept = _CANDIDATES(probabilities, replace(options, min_p=0.0))
    if options.min_p and options.temperature:
        plain = probabilities**options.temperature
        kept &= plain >= options.min_p * plain.max()
    return kept


def _patched(name: str, level: str, where: str, broken: Any) -> Mutant:
    return Mutant(id=name, level=level, patch=Patch(f"lmkernel.{where}", broken))


_ADD = "components.layer.TransformerLayer._add"
_SAMPLING = "generation.sampling"
MUTANTS = (
    _patched(
        "sinks.bounded",
        "components",
        "components.attention.MultiHeadAttention.__call__",
        bounded_sinks,
    ),
    _patched(
        "single_vector.axis_by_extent",
        "components",
        "components.single_vector.SingleVectorAttention.weights",
        axis_by_extent,
    ),
    Mutant(
        id="attention.masks_of_eight",
        level="operations",
        make=optional("attention", masks_of_eight),
    ),
    Mutant(
        id="cache_grow.in_blocks", level="operations", make=optional("cache_grow", grown_in_blocks)
    ),
    _patched(
        "norm.offset_of_rms_alone", "components", "components.layer.normalize", offset_of_rms_alone
    ),
    _patched(
        "layer_scale.before_norm", "components", _ADD, _added(scaled_first=True, unscaled=False)
    ),
    _patched(
        "parallel.unscaled_network", "components", _ADD, _added(scaled_first=False, unscaled=True)
    ),
    Mutant(id="remat.two_arguments", level="gradients", make=optional("remat", two_arguments)),
    _patched("head.bounded_first", "models", "model.model.head", bounded_first),
    _patched("draw.step_in_a_byte", "generation", f"{_SAMPLING}.draw", step_in_a_byte),
    _patched("draw.half_a_seed", "generation", f"{_SAMPLING}.draw", half_a_seed),
    _patched(
        "min_p.before_temperature", "generation", f"{_SAMPLING}._candidates", before_temperature
    ),
)
