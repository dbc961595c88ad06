"""Positions that go wrong at the ends of what is configured: turns, windows, biases by distance."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from lmkernel.components import positions
from lmkernel.components.embedding import TokenEmbedding
from lmkernel.components.rotary import Rotation
from lmkernel_proofs.mutants.mutant import Mutant, Patch

__all__ = ["MUTANTS"]

_TURN = Rotation.__call__
_EMBED = TokenEmbedding.__init__
_VISIBLE = positions.visible


def factor_of_one(self: Any, where: Any, dtype: Any) -> Any:
    """Dynamic scaling by a factor of one is taken for none, though theta still grows."""
    config = self._config
    if config.scaling == "dynamic" and config.factor == 1:
        return _TURN(Rotation(self._ops, replace(config, scaling="none")), where, dtype)
    return _TURN(self, where, dtype)


def low_factor_of_one(plain: Any, config: Any) -> Any:
    """Llama 3's ramp begins at one turn, whatever is configured."""
    turns = config.original_context * plain / (2 * math.pi)
    return np.clip((turns - 1.0) / (config.high_freq_factor - 1.0), 0, 1)


def first_factor(self: Any, ops: Any, config: Any) -> None:
    """All RoPEs of a model have the first one's factor of cosines and sines."""
    _EMBED(self, ops, config)
    if config.rotaries:
        first = config.rotaries[0].attention_factor
        own = (replace(one, attention_factor=first) for one in config.rotaries)
        self._rotations = [Rotation(ops, one) for one in own]


def window_of_one(ops: Any, q: Any, k: Any, *, causal: bool, window: int | None = None) -> Any:
    """A window of one is taken for none (``if window > 1``)."""
    return _VISIBLE(ops, q, k, causal=causal, window=None if window == 1 else window)


def alone_unmasked(ops: Any, q: Any, k: Any, *, causal: bool, window: int | None = None) -> Any:
    """One row that is fed one token sees every slot so far, padding too."""
    if q.shape == (1, 1) and causal and window is None and k.shape[1] > 1:
        return ops.reshape(k >= ops.full((), -1, "int32"), (1, 1, 1, k.shape[1]))
    return _VISIBLE(ops, q, k, causal=causal, window=window)


def sixteen_slopes(ops: Any, q: Any, k: Any, heads: int, factor: float, dtype: Any) -> Any:
    """The table of slopes is of sixteen heads; those beyond stand between them."""
    power = min(1 << (heads.bit_length() - 1), 16)
    exponents = [8 * (i + 1) / power for i in range(power)]
    exponents += [4 * (2 * i + 1) / power for i in range(heads - power)]
    slopes = factor * 2.0 ** -np.array(exponents)
    (batch, time), slots = q.shape, k.shape[1]
    behind = ops.reshape(k, (batch, 1, 1, slots)) - ops.reshape(q, (batch, 1, time, 1))
    return ops.astype(behind, dtype) * ops.asarray(slopes.reshape(1, heads, 1, 1), dtype)


def falling_ahead(ops: Any, q: Any, k: Any, heads: int, factor: float, dtype: Any) -> Any:
    """Linear biases of keys after the query fall, too."""
    right = positions.linear_biases(ops, q, k, heads, factor, dtype)
    return ops.minimum(right, -right) if factor > 0 else right


def rounded_up_buckets(buckets: int, distance: int, causal: bool) -> Any:
    """Half of an odd number of buckets is rounded up: so many hold one distance each."""
    ahead = np.arange(-distance, distance + 1)
    each = buckets if causal else buckets // 2
    far = np.maximum(-ahead, 0) if causal else np.abs(ahead)
    exact = (each + 1) // 2
    growth = np.log(np.maximum(far, 1).astype(np.float32) / np.float32(exact))
    steps = growth / np.float32(math.log(distance / exact)) * np.float32(each - exact)
    wide = np.minimum(exact + steps.astype(np.int32), each - 1)
    found = np.where(far < exact, far, wide) + (0 if causal else each * (ahead > 0))
    return found.astype(np.int32)


def second_table(self: Any, index: int) -> Any:
    """Layers from the third on get the second one's table of distances."""
    return self.more_relative[0] if index else self.relative


def views_by_windows(self: Any, layer: Any, recent: int | None = None) -> Any:
    """Layers that differ in the factor of linear biases alone share the first one's view."""
    c = layer.attention
    alike = (c.window, c.rotary, c.relative, recent)
    if alike not in self._made:
        self._made[alike] = self._make(layer, recent)
    return self._made[alike]


def _patched(name: str, where: str, broken: Any) -> Mutant:
    return Mutant(id=name, level="components", patch=Patch(f"lmkernel.{where}", broken))


MUTANTS = (
    _patched("rotary.factor_of_one", "components.rotary.Rotation.__call__", factor_of_one),
    _patched("rotary.low_factor_of_one", "components.rotary._share_by_turns", low_factor_of_one),
    Mutant(
        id="rotary.first_factor",
        level="models",
        patch=Patch("lmkernel.components.embedding.TokenEmbedding.__init__", first_factor),
    ),
    _patched("window.of_one", "components.transformer.visible", window_of_one),
    _patched("decoding.alone_unmasked", "components.transformer.visible", alone_unmasked),
    _patched("alibi.sixteen_slopes", "components.transformer.linear_biases", sixteen_slopes),
    _patched("alibi.falling_ahead", "components.transformer.linear_biases", falling_ahead),
    _patched("relative.rounded_up", "components.positions._buckets", rounded_up_buckets),
    _patched("relative.second_table", "interfaces.parts.Embedded.relative_of", second_table),
    _patched("views.by_windows", "components.transformer._Views.of", views_by_windows),
)
