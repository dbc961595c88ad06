"""One transformer layer: self-attention, cross-attention where there is a memory, and an MLP.

Pre-norm: x + f(norm(x)) (arXiv:2002.04745). Post-norm: norm(x + f(x)) (arXiv:1706.03762, §3.1).
Output norm: x + norm(f(x)) (arXiv:2501.00656, §3.1), also of a pre-norm's f (arXiv:2408.00118, §2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.components.experts import (
    declare_experts,
    mix_experts,
    router_logits,
    score_experts,
)
from lmkernel.components.primitives import (
    apply_dropout,
    declare_linear,
    declare_norm,
    gate,
    nonlinearity,
    normalize,
    scale,
)
from lmkernel.components.recent import lengthen
from lmkernel.errors import InputError
from lmkernel.interfaces import Init, Param, ParamTree, View, project

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.config import ExpertsConfig, MlpConfig, TransformerConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Attention, Factory

__all__ = ["TransformerLayer", "mlp"]

_SITES = 4
"""Dropout sites of one layer; site 0 of a model is the embedding's."""
_DECODER = 1 << 14
"""Where a causal stack's sites begin, so that none is also the encoder's."""


@final
class TransformerLayer:
    """The parts of one layer, in order; ``config`` is that of a stack of this layer alone."""

    def __init__(self, factory: Factory, config: TransformerConfig, index: int) -> None:
        self._ops: Ops = factory.ops
        self._config = config
        self._site = 1 + _SITES * index + (_DECODER if config.causal else 0)
        self._attention: Attention = factory.create("attention", config.attention)
        self._cross: Attention | None = config.cross and factory.create("attention", config.cross)

    def declare(self) -> ParamTree:
        c = self._config
        tree = {"attention": self._attention.declare(), "mlp": declare_mlp(c.width, c.mlp)}
        if self._cross is not None:
            tree["cross"] = self._cross.declare()
        for name in tuple(tree):
            without = (name == "mlp" and c.shared_norm) or (
                name == "attention" and not c.first_norm
            )
            if (c.pre_norm or not c.output_norm) and not without:
                tree[f"{name}_norm"] = declare_norm(c.width, c.norm)
            if c.output_norm:
                tree[f"{name}_output_norm"] = declare_norm(c.width, c.norm)
            if c.layer_scale:
                tree[f"{name}_scale"] = {
                    "weight": Param((c.width,), Init("ones", c.layer_scale), ("embed",))
                }
        return tree

    def __call__(
        self,
        params: dict[str, Any],
        x: Array,
        view: View,
        *,
        memory: Tree = None,
        across: View | None = None,
        cache: Tree = None,
        key: Array | None = None,
        routed: list[Array] | None = None,
    ) -> tuple[Array, Tree]:
        """The output ``(batch, time, width)`` of the layer, and its new KV cache.

        The logits of its router, if it has one, are put at the end of ``routed``.
        """
        given, c = x, self._config
        x, cache = self.attend(params, x, view, cache=cache, key=key)
        if across is not None:
            x = self.look(params, x, across, memory, key=key)

        def network(y: Array) -> Array:
            if routed is not None and c.mlp.experts is not None:
                # once more than for the choice: it is small beside what the experts multiply
                routed.append(router_logits(self._ops, y, params["mlp"]["router"]))
            return mlp(self._ops, y, params["mlp"], c.mlp)

        return self._add(params, "mlp", x, network, key, 2, given if c.parallel else x), cache

    def attend(
        self,
        params: dict[str, Any],
        x: Array,
        view: View,
        *,
        cache: Tree = None,
        key: Array | None = None,
    ) -> tuple[Array, Tree]:
        """``x (batch, time, width)`` after self-attention, and the new KV cache."""

        def attention(y: Array) -> Array:
            nonlocal cache
            y, cache = self._attention(params["attention"], y, view, cache=cache)
            return y

        return self._add(params, "attention", x, attention, key, 0, x), cache

    def look(
        self,
        params: dict[str, Any],
        x: Array,
        across: View,
        memory: Tree,
        *,
        key: Array | None = None,
    ) -> Array:
        """``x (batch, time, width)`` after cross-attention; unchanged in a layer without it."""
        cross = self._cross
        if cross is None:
            return x

        def attention(y: Array) -> Array:
            return cross(params["cross"], y, across, memory=memory)[0]

        return self._add(params, "cross", x, attention, key, 1, x)

    def remember(self, params: dict[str, Any], hidden: Array) -> Tree:
        """What cross-attention keeps of an encoder's output; None without cross-attention."""
        return self._cross and self._cross.remember(params["cross"], hidden)

    def rate(self, params: dict[str, Any], x: Array) -> Array:
        """What each position chooses its experts by, ``(batch, time, experts)``.

        Args:
            params: the layer's.
            x: what the network is added to, ``(batch, time, width)``; of parallel ones the input.

        Raises:
            InputError: a layer without experts.
        """
        experts = self._config.mlp.experts
        if experts is None:
            raise InputError("expected a layer with experts, got one without")
        given = self._normed(params, "mlp", x)
        return score_experts(self._ops, given, params["mlp"]["router"], experts)[1]

    @property
    def recent(self) -> int | None:
        """How many of its newest slots its KV cache keeps, 0 for all; None if it isn't of those."""
        if not self._attention.recent:
            return None
        return self._config.attention.window or 0

    def cache(self, batch: int, capacity: int, dtype: DType) -> Tree:
        """An empty KV cache for the layer's self-attention."""
        return self._attention.cache(batch, capacity, dtype)

    def grow(self, cache: Tree, capacity: int) -> Tree:
        """The KV cache with room for so many slots."""
        if self._attention.slotless:
            return cache
        if self.recent is None:
            return self._ops.cache_grow(cache, capacity)
        size = min(capacity, self.recent or capacity)
        return {name: lengthen(self._ops, slots, size, 2) for name, slots in cache.items()}

    def _add(
        self,
        params: dict[str, Any],
        name: str,
        x: Array,
        f: Callable[[Array], Array],
        key: Array | None,
        site: int,
        given: Array,
    ) -> Array:
        """``x`` plus a sublayer's output for ``given``, normalised where the layer is."""
        ops, c = self._ops, self._config
        y = f(self._normed(params, name, given))
        if c.output_norm:
            y = normalize(ops, y, params[f"{name}_output_norm"], c.norm)
        if c.layer_scale:
            y = y * params[f"{name}_scale"]["weight"]
        y = apply_dropout(ops, y, c.dropout, key, self._site + site)
        x = x + scale(ops, y, c.residual_scale)
        if c.pre_norm or c.output_norm:
            return x
        return normalize(ops, x, self._norm(params, name), c.norm)

    def _normed(self, params: dict[str, Any], name: str, given: Array) -> Array:
        """What a sublayer reads: normalised before it, or as it is."""
        norm = self._norm(params, name)
        # pre-norm leaves the residual stream itself unnormalised, so gradients reach every layer
        # whole
        if not self._config.pre_norm or not norm:
            return given
        return normalize(self._ops, given, norm, self._config.norm)

    def _norm(self, params: dict[str, Any], name: str) -> Any:
        """The parameters of a sublayer's norm; None where it has none."""
        return params.get("attention_norm" if self._config.shared_norm else f"{name}_norm")


def declare_mlp(width: int, config: MlpConfig) -> ParamTree:
    """Weights up (and gate) ``(hidden, width)`` and down ``(width, hidden)``; or experts'."""
    if config.experts is not None:
        tree = declare_experts(width, config, config.experts)
        if config.experts.shared:
            tree["shared"] = declare_mlp(width, _shared_network(config, config.experts))
        if config.experts.shared_gate:
            tree["shared_gate"] = declare_linear(1, width, ("shared", "embed"), bias=False)
        return tree
    n, fuse = config.hidden, "gate_up" if config.gated else ""
    into = declare_linear(n, width, ("mlp", "embed"), bias=config.bias, fuse=fuse)
    out = declare_linear(width, n, ("embed", "mlp"), bias=config.bias)
    return {**({"gate": into} if config.gated else {}), "up": into, "down": out}


def mlp(ops: Ops, x: Array, params: dict[str, Any], config: MlpConfig) -> Array:
    """down(act(up·x)), or gated down(act(gate·x) · (up·x)) (arXiv:2002.05202); or experts'."""
    if config.experts is not None:
        mixed = mix_experts(ops, x, params, config)
        if not config.experts.shared:
            return mixed
        shared = mlp(ops, x, params["shared"], _shared_network(config, config.experts))
        if config.experts.shared_gate:
            shared = ops.sigmoid(project(ops, x, params["shared_gate"])) * shared
        return mixed + shared
    if not config.gated:
        inner = nonlinearity(ops, project(ops, x, params["up"]), config)
    elif "gate_up" in params:
        inner = _gate(ops, project(ops, x, params["gate_up"]), config)
    else:
        inner = gate(ops, project(ops, x, params["gate"]), project(ops, x, params["up"]), config)
    return project(ops, inner, params["down"])


def _shared_network(config: MlpConfig, experts: ExpertsConfig) -> MlpConfig:
    """The network that every position uses beside the experts that it chooses."""
    return replace(config, hidden=experts.shared, experts=None)


def _gate(ops: Ops, both: Array, config: MlpConfig) -> Array:
    if config.activation == "silu" and config.plain:
        return ops.swiglu(both)
    return gate(ops, both[..., : config.hidden], both[..., config.hidden :], config)
