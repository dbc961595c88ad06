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
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
        "silu": jax.nn.silu,
        "gelu": gelu,
        "gelu_tanh": gelu_tanh,
        "linear": linear,
        "layer_norm": layer_norm,
        "attention": attention,
        "cross_entropy": cross_entropy,
        "remat": jax.checkpoint,
    }


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
