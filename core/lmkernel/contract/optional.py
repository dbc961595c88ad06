"""The optional tier: operations with a default composed from the mandatory tier.

Constraints: a backend may override any of them with a function of the same signature; the default
is in `lmkernel.composed`. Sums over 16-bit floats accumulate in float32, and results come back in
the dtype of the input. Handles of packed weights and of caches are opaque to the core. An override
that suits some dtypes or shapes calls the composition for the rest: ``assemble(mandatory, {})``.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from lmkernel.contract.mandatory import Array, MandatoryOps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmkernel.contract.blocks import Blocks
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Tree

__all__ = ["Cache", "Delta", "Ops", "OptionalOps", "PackedLinear"]

PackedLinear = Any
"""What `pack_linear` returns: a weight in whatever layout suits the backend."""
Cache = Any
"""What `cache_create` returns: the KV cache of one layer. Each update consumes it."""
Delta = tuple[Array, Array]
"""A low-rank addition to a weight: ``(a (rank, in), b (out, rank))`` (arXiv:2106.09685, eq. 3)."""


class OptionalOps(MandatoryOps):
    """Signatures of the composed operations."""

    # element-wise and along one axis

    @abstractmethod
    def mean(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        """Arithmetic mean along one axis."""

    @abstractmethod
    def softmax(self, x: Array, axis: int = -1) -> Array:
        """``exp(x - max) / sum(exp(x - max))`` along ``axis``; NaN or +∞ makes its row NaN."""

    @abstractmethod
    def log_softmax(self, x: Array, axis: int = -1) -> Array:
        """``x - max - log(sum(exp(x - max)))`` along ``axis``."""

    @abstractmethod
    def relu(self, x: Array) -> Array:
        """max(x, 0), with gradient 0 at 0."""

    @abstractmethod
    def silu(self, x: Array) -> Array:
        """X · sigmoid(x) (Elfwing et al. 2017, arXiv:1702.03118)."""

    @abstractmethod
    def gelu(self, x: Array) -> Array:
        """X · Φ(x), with the error function (Hendrycks & Gimpel 2016, arXiv:1606.08415, §2)."""

    @abstractmethod
    def gelu_tanh(self, x: Array) -> Array:
        """The tanh approximation of `gelu` (ibid., §2)."""

    @abstractmethod
    def swiglu(self, x: Array) -> Array:
        """``silu(x[..., :n]) · x[..., n:]``, ``(…, 2n) -> (…, n)`` (arXiv:2002.05202, eq. 5)."""

    @abstractmethod
    def one_hot(self, indices: Array, size: int, dtype: DType) -> Array:
        """1 at each int32 index and 0 elsewhere, ``(…) -> (…, size)``; negative gives zeros."""

    @abstractmethod
    def dropout(self, x: Array, key: Array, rate: float) -> Array:
        """Each element zeroed with probability ``rate``, the others divided by ``1 - rate``.

        ``key (2,)`` int32 as in `random_uniform` (Srivastava et al. 2014, JMLR 15, §4).
        """

    # linear

    @abstractmethod
    def pack_linear(self, weight: Array) -> PackedLinear:
        """A handle of ``weight (out, in)`` for inference; the weight is not used afterwards.

        The default is the weight itself, so an override of `linear` alone meets arrays only.
        """

    @abstractmethod
    def unpack_linear(self, weight: Array | PackedLinear) -> Array:
        """The weight ``(out, in)`` of a handle, exactly as it was packed; an array as it is."""

    @abstractmethod
    def linear(
        self,
        x: Array,
        weight: Array | PackedLinear,
        bias: Array | None = None,
        delta: Delta | None = None,
    ) -> Array:
        """``x (…, in)`` times the transpose of ``weight (out, in)``, plus ``bias (out,)``.

        With a delta ``(a, b)``, ``(x·aᵀ)·bᵀ`` is added.
        """

    @abstractmethod
    def take_rows(self, weight: Array | PackedLinear, indices: Array) -> Array:
        """Rows of a weight ``(out, in)`` at int32 ``indices (…)``: ``(…, in)``."""

    @abstractmethod
    def pack_blocks(self, weight: Blocks, dtype: DType) -> PackedLinear:
        """A handle of a weight of few bits, for computations in ``dtype``.

        The default keeps the bits and expands them as they are used; `linear`, `take_rows` and
        `unpack_linear` take its handle on every backend, whatever they are overridden by. An
        override gives handles of its own to its own `linear`, or calls the composition's.
        """

    @abstractmethod
    def unpack_bits(self, x: Array, width: int, bits: int = 32) -> Array:
        """The fields of ``width`` bits in the low ``bits`` of each int32, the lowest first.

        ``(…, n) -> (…, n · bits / width)``, int32 from 0 on; ``width`` is 1, 2, 4, 8 or 16, and
        ``bits`` is 8, 16 or 32. Bits above ``bits`` are 0.
        """

    @abstractmethod
    def expert_linear(self, x: Array, weight: Array, experts: Array) -> Array:
        """Each row of ``x (rows, in)`` times the transpose of its own expert's matrix.

        ``weight (count, out, in)`` and int32 ``experts (rows,)``: ``(rows, out)``. The default
        multiplies by every matrix; an override need only do so by those that are asked for.
        """

    # normalisation

    @abstractmethod
    def layer_norm(self, x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
        """``(x - mean) / sqrt(var + eps) · weight + bias`` over the last axis (arXiv:1607.06450).

        The variance is the biased one, in two passes.
        """

    @abstractmethod
    def rms_norm(self, x: Array, weight: Array, eps: float) -> Array:
        """``x / sqrt(mean(x²) + eps) · weight`` over the last axis (arXiv:1910.07467, eq. 4)."""

    # attention

    @abstractmethod
    def rotate(self, x: Array, cos: Array, sin: Array) -> Array:
        """RoPE (rotary position embedding) on the first ``2·half`` elements of the last axis.

        ``x (batch, heads, time, head_dim)``, ``cos`` and ``sin (batch, 1, time, half)``: element
        i turns with element ``i + half`` (arXiv:2104.09864, §3.4.2, in the half-split order).
        """

    @abstractmethod
    def attention(
        self,
        queries: Array,
        keys: Array,
        values: Array,
        mask: Array | None,
        *,
        scale: float,
        bias: Array | None = None,
        softcap: float | None = None,
    ) -> Array:
        """softmax(scale · q·kᵀ + bias) · v (arXiv:1706.03762, eq. 1), with grouped heads.

        Args:
            queries: ``(batch, heads, time, head_dim)``.
            keys: ``(batch, kv_heads, slots, head_dim)``; heads is a multiple of kv_heads, and
                query head h uses key head ``h // (heads / kv_heads)``.
            values: ``(batch, kv_heads, slots, value_dim)``.
            mask: boolean, true where a query may see a slot, of four axes, broadcasting to
                ``(batch, heads, time, slots)``; None shows everything. A query that sees nothing
                gives zeros. A slot that no query sees is not read: it may hold NaN.
            scale: factor of the products.
            bias: additive and finite, broadcasting as the mask does; float32 where the queries
                have 16 bits.
            softcap: bounds the scaled products to ±softcap through tanh (arXiv:2408.00118, §2).

        Returns:
            ``(batch, heads, time, value_dim)``.
        """

    @abstractmethod
    def cache_create(
        self, batch: int, kv_heads: int, head_dim: int, capacity: int, dtype: DType
    ) -> Cache:
        """An empty KV cache of one layer with ``capacity`` slots for each row."""

    @abstractmethod
    def cache_append(self, cache: Cache, keys: Array, values: Array, start: Array) -> Cache:
        """The KV cache (consumed) with new keys and values, ``(batch, kv_heads, time, head_dim)``.

        They take the slots ``start … start + time - 1`` (0-d int32) of every row.
        """

    @abstractmethod
    def cache_attend(
        self,
        cache: Cache,
        queries: Array,
        mask: Array,
        *,
        extent: int,
        scale: float,
        bias: Array | None = None,
        softcap: float | None = None,
    ) -> Array:
        """`attention` over the first ``extent`` slots of the KV cache, each written or masked."""

    @abstractmethod
    def cache_grow(self, cache: Cache, capacity: int) -> Cache:
        """The KV cache (consumed) with room for ``capacity`` slots, the old ones kept."""

    # recurrent cells

    @abstractmethod
    def gru_cell(self, x: Array, h: Array, weight: Array, bias: Array | None) -> Array:
        """One step of a gated recurrent unit (arXiv:1406.1078, §2.3, reset after the product).

        ``x (batch, 3·width)`` is the input's part of the gates r, z, n, with its bias;
        ``weight (3·width, width)`` and ``bias (3·width,)`` are the state's:
        r = σ(x_r + h_r), z = σ(x_z + h_z), n = tanh(x_n + r·h_n), (1 - z)·n + z·h.
        """

    @abstractmethod
    def lstm_cell(
        self, x: Array, h: Array, c: Array, weight: Array, bias: Array | None
    ) -> tuple[Array, Array]:
        """One step of a long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

        ``x (batch, 4·width)`` is the input's part of the gates i, f, g, o, with its bias;
        c' = σ(f)·c + σ(i)·tanh(g), h' = σ(o)·tanh(c'). Returns (h', c').
        """

    # losses

    @abstractmethod
    def mse(self, prediction: Array, target: Array) -> Array:
        """Mean squared difference over all elements, 0-d."""

    @abstractmethod
    def cross_entropy(self, logits: Array, targets: Array, smoothing: float = 0.0) -> Array:
        """-log softmax(logits)[target], ``(…, classes), (…) -> (…)``; 0 where a target is negative.

        Smoothing s mixes the target with the uniform distribution:
        (1 - s)·nll + s·mean(-log softmax) (Szegedy et al. 2015, arXiv:1512.00567, §7).
        """

    @abstractmethod
    def soft_cross_entropy(self, logits: Array, target: Array) -> Array:
        """``-Σ target · log_softmax(logits)`` over the last axis; ``(…, classes) -> (…)``."""

    # training

    @abstractmethod
    def global_norm(self, arrays: Sequence[Array]) -> Array:
        """√Σx² over all elements of one or more arrays, 0-d; in float32 where they are narrower.

        Infinite where a square is, in float32 from about 1e19 on.
        """

    @abstractmethod
    def adam_update(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        first: Sequence[Array],
        second: Sequence[Array],
        scalars: Mapping[str, Array],
        *,
        beta1: float,
        beta2: float,
        eps: float,
        decays: Sequence[float],
    ) -> tuple[list[Array], list[Array], list[Array]]:
        """One step of Adam (arXiv:1412.6980, alg. 1), decay decoupled (arXiv:1711.05101, alg. 2).

        g = grad_scale · gradient, m = β1·m + (1 - β1)·g, v = β2·v + (1 - β2)·g²,
        p = p - rate · (decay·p + first_scale·m / (√(second_scale·v) + ε)).

        Args:
            params: arrays of one dtype; consumed, as are the gradients and the moments.
            grads: the gradient of each parameter.
            first: the running means m of gradients.
            second: the running means v of their squares.
            scalars: 0-d, of the same dtype: ``"rate"`` (the learning rate), ``"grad_scale"``,
                ``"step"`` (from 1),
                ``"first_scale"`` = 1 / (1 - β1^step), ``"second_scale"`` = 1 / (1 - β2^step).
            beta1: share of the old m.
            beta2: share of the old v.
            eps: term added to the root.
            decays: the weight decay of each parameter.

        Returns:
            New parameters, first and second moments.
        """

    # memory

    @abstractmethod
    def remat(self, f: Callable[..., Tree]) -> Callable[..., Tree]:
        """``f`` with gradient checkpointing (arXiv:1604.06174).

        Its inner values are computed again in the backward pass instead of being kept.
        """


class Ops(OptionalOps):
    """Both tiers, put together once when a backend is loaded, and frozen."""

    @property
    @abstractmethod
    def overridden(self) -> Mapping[str, object]:
        """The optional operations that the backend supplies itself, by name."""
