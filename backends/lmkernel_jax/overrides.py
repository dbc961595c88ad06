"""JAX's own forms of optional operations.

Constraint: XLA fuses the compositions well; here are those that it compiles better in another form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from lmkernel_jax.gradients import attend, cross_entropy, gelu, gelu_tanh, layer_norm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Delta, Ops

__all__ = ["overrides"]


def overrides(composed: Ops) -> Mapping[str, Callable[..., Any]]:
    """The overriding operations by name.

    Args:
        composed: the operations without any override, for what these leave out.
    """

    def attention(
        queries: Array,
        keys: Array,
        values: Array,
        mask: Array | None,
        *,
        scale: float,
        bias: Array | None = None,
        softcap: float | None = None,
    ) -> Array:
        if bias is not None or softcap is not None:
            options: dict[str, Any] = {"scale": scale, "bias": bias, "softcap": softcap}
            return composed.attention(queries, keys, values, mask, **options)
        if mask is not None:  # slots that nobody sees may hold anything
            seen = jnp.any(mask, (1, 2))[:, None, :, None]
            keys, values = jnp.where(seen, keys, 0), jnp.where(seen, values, 0)
        return attend(queries, keys, values, mask, scale)

    return {
        "softmax": _in_float32(jax.nn.softmax),
        "log_softmax": _in_float32(jax.nn.log_softmax),
        "silu": jax.nn.silu,
        "gelu": gelu,
        "gelu_tanh": gelu_tanh,
        "linear": linear,
        "unpack_bits": unpack_bits,
        "expert_linear": expert_linear,
        "layer_norm": layer_norm,
        "attention": attention,
        "cross_entropy": cross_entropy,
        "remat": jax.checkpoint,
    }


def _in_float32(f: Callable[..., Array]) -> Callable[..., Array]:
    """The function, computed in float32 for 16-bit numbers.

    JAX's own rounds the differences to the maximum to 16 bits, which is off by some per cent.
    """

    def call_wide(x: Array, axis: int = -1) -> Array:
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        return f(wide, axis).astype(x.dtype)

    return call_wide


def linear(x: Array, weight: Array, bias: Array | None = None, delta: Delta | None = None) -> Array:
    """Contracts both last axes: the weight is read as it lies, a third faster at one row.

    All leading axes are one, without which a training step takes a third longer.
    """
    rows = x.reshape(-1, x.shape[-1])
    y = _product(rows, weight)
    if bias is not None:
        y = y + bias
    if delta is not None:
        y = y + _product(_product(rows, delta[0]), delta[1])
    return y.reshape(*x.shape[:-1], weight.shape[0])


def _product(rows: Array, weight: Array) -> Array:
    return lax.dot_general(rows, weight, (((1,), (1,)), ((), ())))


def unpack_bits(x: Array, width: int, bits: int = 32) -> Array:
    """By shifts, which XLA fuses with what follows."""
    shifts = jnp.arange(0, bits, width, dtype=jnp.int32)
    fields = (x[..., None] >> shifts) & jnp.int32((1 << width) - 1)
    return fields.reshape(*x.shape[:-1], -1)


_BLOCK = 32
"""Rows of one expert that are multiplied together on the CPU."""


def expert_linear(x: Array, weight: Array, experts: Array) -> Array:
    """Rows sorted by expert, and products of as many matrices as are asked for."""
    order = jnp.argsort(experts, stable=True)
    sizes = jnp.bincount(experts, length=weight.shape[0]).astype(jnp.int32)
    rows = x[order]
    # on the CPU, XLA expands a ragged product to one of all rows with all matrices
    y = lax.platform_dependent(
        rows, weight, experts[order], sizes, cpu=_multiply_in_blocks, default=_multiply_ragged
    )
    return jnp.zeros_like(y).at[order].set(y)


def _multiply_ragged(rows: Array, weight: Array, experts: Array, sizes: Array) -> Array:
    del experts
    return lax.ragged_dot(rows, jnp.swapaxes(weight, 1, 2), sizes)


def _multiply_in_blocks(rows: Array, weight: Array, experts: Array, sizes: Array) -> Array:
    """Sorted rows, an expert's padded to whole blocks, and each block by its one matrix."""
    block = 1 if len(rows) <= len(weight) else _BLOCK
    ends = jnp.cumsum(-(-sizes // block))  # in blocks
    begins = ends * block - -(-sizes // block) * block
    ranks = jnp.arange(len(rows)) - (jnp.cumsum(sizes) - sizes)[experts]
    slots = begins[experts] + ranks
    # every expert wastes less than one block, so this many are enough whatever is chosen
    count = len(rows) // block + (0 if block == 1 else len(weight))
    owners = jnp.minimum(jnp.searchsorted(ends, jnp.arange(count), side="right"), len(weight) - 1)
    padded = jnp.zeros((count * block, rows.shape[1]), rows.dtype).at[slots].set(rows)
    blocks = padded.reshape(count, block, -1)
    products = lax.map(lambda pair: _product(pair[0], weight[pair[1]]), (blocks, owners))
    return products.reshape(count * block, -1)[slots]
