"""The gated delta rule (arXiv:2412.06464, §3.1): a past of one matrix a head, and no slots.

A short convolution mixes each channel of queries, keys and values with its last few. The matrix S
of a head decays by α, is corrected where the key k finds another value than v, by β, and is read by
the query: S ← αS, S ← S + k·(β(v - kᵀS)), and the output is qᵀS.

Constraint: positions follow one another; padding stands before a row or after it, and in a step
with a cache between what came before and what is new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.components.attention import join_heads, split_heads
from lmkernel.components.primitives import declare_linear, declare_norm, normalize
from lmkernel.composed.precision import constant
from lmkernel.contract.capabilities import WIDE
from lmkernel.interfaces import Attention, Init, Param, ParamTree, View, project

if TYPE_CHECKING:
    from lmkernel.config import AttentionConfig, DeltaConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Factory

__all__ = ["DeltaAttention"]


@final
class DeltaAttention(Attention):
    """Self-attention of a decoder, in time that grows with the positions as they do."""

    slotless = True

    def __init__(self, ops: Ops, config: AttentionConfig, delta: DeltaConfig) -> None:
        self._ops = ops
        self._config = config
        self._delta = delta
        self._values = config.heads * config.head_dim
        self._channels = 2 * delta.keys + self._values

    @classmethod
    def build(cls, factory: Factory, config: AttentionConfig) -> Self:
        if config.delta is None:
            raise TypeError("expected a DeltaConfig")
        return cls(factory.ops, config, config.delta)

    def declare(self) -> ParamTree:
        c, d = self._config, self._delta

        def product(rows: int) -> ParamTree:
            return declare_linear(rows, c.width, ("inner", "embed"), bias=False)

        return {
            "mixed": product(self._channels),
            "correction": product(c.heads),
            "decay": product(c.heads),
            # a decay of e^-softplus(1) where nothing is learnt yet
            "decay_bias": Param((c.heads,), Init("ones"), ("inner",)),
            "decay_rate": Param((c.heads,), Init("zeros"), ("inner",)),
            "taps": Param((self._channels, d.taps), Init("glorot_uniform"), ("inner", "tap")),
            "norm": declare_norm(c.head_dim, d.norm),
            "out_gate": product(self._values),
            "out": declare_linear(c.width, self._values, ("embed", "inner"), bias=False),
        }

    def __call__(
        self,
        params: dict[str, Any],
        x: Array,
        view: View,
        *,
        memory: Tree = None,
        cache: Tree = None,
    ) -> tuple[Array, Tree]:
        if memory is not None:
            raise TypeError("expected self-attention, got attention to a memory")
        ops, c = self._ops, self._config
        real = view.query_positions >= ops.full((), 0, "int32")
        line = ops.reshape(real, (*real.shape, 1))
        past = self.cache(x.shape[0], 0, ops.dtype(x)) if cache is None else cache
        inputs = ops.where(line, project(ops, x, params["mixed"]), constant(ops, 0.0, x))
        inputs = ops.concat([past["inputs"], inputs], 1)
        if cache is not None:
            inputs = self._closed_up(inputs, real)
        mixed = ops.silu(self._convolve(inputs, params["taps"]))
        decay, correction = self._rates(params, x, line)
        state, read = self._run(mixed, decay, correction, past["matrix"])
        made = normalize(ops, ops.astype(read, ops.dtype(x)), params["norm"], self._delta.norm)
        gates = ops.silu(split_heads(ops, project(ops, x, params["out_gate"]), c.heads))
        kept = {"inputs": inputs[:, 1 - self._delta.taps :], "matrix": state}
        joined = join_heads(ops, made * gates)
        return project(ops, joined, params["out"]), None if cache is None else kept

    def _closed_up(self, inputs: Array, real: Array) -> Array:
        """What came before and the new inputs, without padding between them."""
        ops, (batch, time) = self._ops, real.shape
        slots, before = inputs.shape[1], inputs.shape[1] - time
        # how many new ones there are from the first on that is no padding
        left = ops.reshape(ops.full((), time, "int32") - ops.arange(0, time, "int32"), (1, time))
        count = ops.max(ops.astype(real, "int32") * left, 1, keepdims=True)
        empty, here = ops.full((), time, "int32") - count, ops.arange(0, slots, "int32")
        here = ops.reshape(here, (1, slots))
        # what stands in place of padding, at the front, is read for padding alone
        moved = ops.maximum(here - empty, ops.full((), 0, "int32"))
        places = ops.where(here < empty + ops.full((), before, "int32"), moved, here)
        rows = ops.arange(0, batch, "int32") * ops.full((), slots, "int32")
        flat = ops.reshape(inputs, (batch * slots, inputs.shape[2]))
        return ops.take(flat, places + ops.reshape(rows, (batch, 1)), 0)

    def _convolve(self, inputs: Array, taps: Array) -> Array:
        """Each channel's sum over its last few inputs: ``(batch, time, channels)``."""
        count = self._delta.taps
        time = inputs.shape[1] - count + 1
        parts = [inputs[:, i : i + time] * taps[:, i] for i in range(count)]
        return sum(parts[1:], parts[0])

    def _rates(self, params: dict[str, Any], x: Array, real: Array) -> tuple[Array, Array]:
        """What is left of the matrix and how much of it is corrected, ``(batch, time, heads)``."""
        ops = self._ops
        wide = WIDE.get(ops.dtype(x), ops.dtype(x))
        steps = ops.astype(project(ops, x, params["decay"]), wide)
        steps = _softplus(ops, steps + ops.astype(params["decay_bias"], wide))
        rates = ops.exp(ops.astype(params["decay_rate"], wide))
        one, nothing = constant(ops, 1.0, steps), constant(ops, 0.0, steps)
        decay = ops.exp(nothing - rates * steps)
        correction = ops.astype(ops.sigmoid(project(ops, x, params["correction"])), wide)
        return ops.where(real, decay, one), ops.where(real, correction, nothing)

    def _run(
        self, mixed: Array, decay: Array, correction: Array, matrix: Array
    ) -> tuple[Array, Array]:
        """The last matrices, and what each position read: ``(batch, heads, time, size)``."""
        ops, c, d = self._ops, self._config, self._delta
        mixed = ops.astype(mixed, ops.dtype(matrix))
        queries, keys = (self._unit(mixed[..., start : start + d.keys]) for start in (0, d.keys))
        values = split_heads(ops, mixed[..., 2 * d.keys :], c.heads)
        queries = queries * constant(ops, c.scale, queries)

        def step(state: Array, now: dict[str, Array]) -> tuple[Array, Array]:
            state = state * now["decay"]
            wrong = now["value"] - ops.matmul(now["key"], state)
            across = ops.permute_dims(now["key"], (0, 1, 3, 2))
            state = state + ops.matmul(across, wrong * now["correction"])
            return state, ops.matmul(now["query"], state)

        rates = (mixed.shape[0], c.heads, mixed.shape[1])

        def by_time(x: Array) -> Array:
            """``(batch, heads, time, size) -> (time, batch, heads, 1, size)``."""
            moved = ops.permute_dims(x, (2, 0, 1, 3))
            return ops.reshape(moved, (*moved.shape[:3], 1, moved.shape[3]))

        def rate(x: Array) -> Array:
            return by_time(ops.reshape(ops.permute_dims(x, (0, 2, 1)), (*rates, 1)))

        now = {"query": by_time(queries), "key": by_time(keys), "value": by_time(values)}
        now |= {"decay": rate(decay), "correction": rate(correction)}
        matrix, read = ops.scan(step, matrix, now)
        time, batch = read.shape[:2]
        read = ops.reshape(read, (time, batch, c.heads, c.head_dim))
        return matrix, ops.permute_dims(read, (1, 2, 0, 3))

    def _unit(self, x: Array) -> Array:
        """Queries or keys of length 1, one for each head of values."""
        ops, c, d = self._ops, self._config, self._delta
        heads = split_heads(ops, x, d.key_heads)
        squares = ops.sum(heads * heads, -1, keepdims=True)
        heads = heads / ops.sqrt(squares + constant(ops, d.eps, squares))
        batch, _, time, size = heads.shape
        each = c.heads // d.key_heads
        shape = (batch, d.key_heads, each, time, size)
        repeated = ops.broadcast_to(ops.reshape(heads, (batch, d.key_heads, 1, time, size)), shape)
        return ops.reshape(repeated, (batch, c.heads, time, size))

    def remember(self, params: dict[str, Any], hidden: Array) -> Tree:
        del params, hidden
        raise TypeError("expected self-attention, got attention to a memory")

    def cache(self, batch: int, capacity: int, dtype: DType) -> Tree:
        del capacity
        c, d = self._config, self._delta
        shape = (batch, c.heads, d.key_dim, c.head_dim)
        return {
            "inputs": self._ops.full((batch, d.taps - 1, self._channels), 0.0, dtype),
            "matrix": self._ops.full(shape, 0.0, WIDE.get(dtype, dtype)),
        }


def _softplus(ops: Ops, x: Array) -> Array:
    """log(1 + eˣ), as exact where eˣ is small: u is log(1 + u) there, whatever 1 + u rounds to."""
    zero, one = constant(ops, 0.0, x), constant(ops, 1.0, x)
    above = ops.maximum(x, zero)
    small = ops.exp(zero - ops.maximum(x, zero - x))
    rounded = one + small
    nothing = rounded == one
    gone = ops.where(nothing, one, rounded - one)
    return above + ops.where(nothing, small, small * (ops.log(rounded) / gone))
