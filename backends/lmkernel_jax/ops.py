"""The mandatory tier on JAX.

Constraints: called inside the backend's scope, which has 64-bit types on, so every dtype is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import jax
import jax.numpy as jnp
import numpy as np

from lmkernel.contract.mandatory import Array, MandatoryOps, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel.contract.capabilities import DType

__all__ = ["JaxOps"]


@final
class JaxOps(MandatoryOps):
    """JAX's implementation of the mandatory tier, bound to one device or to a sharding."""

    def __init__(self, device: Any) -> None:
        self._device = device

    def asarray(self, value: Any, dtype: DType, *, copy: bool = True) -> Array:
        host = np.asarray(value).astype(jnp.dtype(dtype), copy=copy)
        if isinstance(self._device, jax.sharding.Sharding):
            # to put it there, JAX would ask all processes each time whether they have the same
            return jnp.array(host, copy=copy)
        return jax.device_put(host, self._device, may_alias=not copy)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        narrow = self.dtype(x) in ("bfloat16", "float16")
        return np.array(x, dtype=np.float32 if narrow else None)

    def full(self, shape: Sequence[int], value: float, dtype: DType) -> Array:
        return jnp.full(tuple(shape), value, dtype=dtype, device=self._device)

    def arange(self, start: int, stop: int, dtype: DType) -> Array:
        return jnp.arange(start, stop, dtype=dtype, device=self._device)

    def astype(self, x: Array, dtype: DType) -> Array:
        return x.astype(dtype)

    def dtype(self, x: Array) -> DType:
        return str(x.dtype)  # type: ignore[return-value]  # JAX's names are the contract's

    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        return jnp.reshape(x, tuple(shape))

    def permute_dims(self, x: Array, axes: Sequence[int]) -> Array:
        return jnp.permute_dims(x, tuple(axes))

    def broadcast_to(self, x: Array, shape: Sequence[int]) -> Array:
        return jnp.broadcast_to(x, tuple(shape))

    def concat(self, arrays: Sequence[Array], axis: int) -> Array:
        return jnp.concatenate(arrays, axis)

    def take(self, x: Array, indices: Array, axis: int) -> Array:
        return jnp.take(x, indices, axis)

    def exp(self, x: Array) -> Array:
        return jnp.exp(x)

    def log(self, x: Array) -> Array:
        return jnp.log(x)

    def sqrt(self, x: Array) -> Array:
        return jnp.sqrt(x)

    def cos(self, x: Array) -> Array:
        return jnp.cos(x)

    def sin(self, x: Array) -> Array:
        return jnp.sin(x)

    def tanh(self, x: Array) -> Array:
        return jnp.tanh(x)

    def sigmoid(self, x: Array) -> Array:
        return jax.nn.sigmoid(x)

    def erf(self, x: Array) -> Array:
        return jax.lax.erf(x)

    def minimum(self, x: Array, y: Array) -> Array:
        return jnp.minimum(x, y)

    def maximum(self, x: Array, y: Array) -> Array:
        return jnp.maximum(x, y)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        return jnp.where(condition, x, y)

    def sum(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return jnp.sum(x, axis, keepdims=keepdims, dtype=x.dtype)

    def max(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        found = jnp.max(x, axis, keepdims=keepdims)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return found
        # over some thousand numbers XLA's maximum on a processor loses NaN
        return jnp.where(jnp.isnan(x).any(axis, keepdims=keepdims), jnp.nan, found)

    def argmax(self, x: Array, axis: int) -> Array:
        return jnp.argmax(x, axis).astype("int32")

    def matmul(self, x: Array, y: Array) -> Array:
        return jnp.matmul(x, y)

    def stop_gradient(self, x: Array) -> Array:
        return jax.lax.stop_gradient(x)

    def value_and_grad(
        self, f: Callable[..., Tree], *, aux: bool = False
    ) -> Callable[..., tuple[Tree, Tree]]:
        return jax.value_and_grad(f, has_aux=aux)  # type: ignore[no-any-return]  # JAX is not typed here

    def compile(
        self, f: Callable[..., Tree], *, donate: Sequence[int] = (), static: Sequence[int] = ()
    ) -> Callable[..., Tree]:
        options = {"donate_argnums": tuple(donate), "static_argnums": tuple(static)}
        return jax.jit(f, **options)  # type: ignore[no-any-return]  # JAX is not typed here

    def scan(
        self,
        f: Callable[[Tree, Tree], tuple[Tree, Tree]],
        init: Tree,
        xs: Tree,
        *,
        reverse: bool = False,
    ) -> tuple[Tree, Tree]:
        return jax.lax.scan(f, init, xs, reverse=reverse)  # type: ignore[no-any-return]  # the same

    def cache_update(self, buffer: Array, values: Array, start: Array, axis: int) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(buffer, values, start, axis)

    def random_uniform(self, key: Array, shape: Sequence[int], dtype: DType) -> Array:
        words = jax.random.wrap_key_data(key.astype("uint32"), impl="threefry2x32")
        return jax.random.uniform(words, tuple(shape), dtype)
