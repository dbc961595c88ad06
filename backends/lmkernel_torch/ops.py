"""The mandatory tier on PyTorch.

Constraints: eager; ``compile`` is the identity. ``cache_update`` writes in place unless gradients
flow through the values, for then autograd needs what was there before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch

from lmkernel.contract.mandatory import Array, MandatoryOps, Tree
from lmkernel.contract.trees import loop_scan, tree_map
from lmkernel_torch.memory import keep_freed_memory
from lmkernel_torch.tracing import is_traced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel.contract.capabilities import DType

__all__ = ["TorchOps"]


@final
class TorchOps(MandatoryOps):
    """PyTorch's implementation of the mandatory tier, bound to one device.

    Args:
        device: where it computes.
        reshape: torch's, or one that knows of arrays in parts.
    """

    def __init__(
        self,
        device: torch.device,
        reshape: Callable[[Array, tuple[int, ...]], Array] = torch.reshape,
    ) -> None:
        self._device, self._reshape = device, reshape

    def asarray(self, value: Any, dtype: DType, *, copy: bool = True) -> Array:
        host = np.asarray(value)
        # torch reads no memory backwards, and shares none that may not be written
        if copy or any(step < 0 for step in host.strides) or not host.flags.writeable:
            host = np.array(host)
        return torch.from_numpy(host).to(self._device, getattr(torch, dtype))

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        host = x.detach().to("cpu", copy=True)
        narrow = host.dtype in (torch.bfloat16, torch.float16)
        return np.asarray(host.float() if narrow else host)

    def full(self, shape: Sequence[int], value: float, dtype: DType) -> Array:
        return torch.full(tuple(shape), value, dtype=getattr(torch, dtype), device=self._device)

    def arange(self, start: int, stop: int, dtype: DType) -> Array:
        return torch.arange(start, stop, dtype=getattr(torch, dtype), device=self._device)

    def astype(self, x: Array, dtype: DType) -> Array:
        return x.to(getattr(torch, dtype))

    def dtype(self, x: Array) -> DType:
        return str(x.dtype).removeprefix("torch.")  # type: ignore[return-value]  # the same names

    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        return self._reshape(x, tuple(shape))

    def permute_dims(self, x: Array, axes: Sequence[int]) -> Array:
        return torch.permute(x, tuple(axes))

    def broadcast_to(self, x: Array, shape: Sequence[int]) -> Array:
        return torch.broadcast_to(x, tuple(shape))

    def concat(self, arrays: Sequence[Array], axis: int) -> Array:
        return torch.cat(tuple(arrays), axis)

    def take(self, x: Array, indices: Array, axis: int) -> Array:
        before = axis % x.ndim
        taken = torch.index_select(x, before, indices.reshape(-1))
        return taken.reshape((*x.shape[:before], *indices.shape, *x.shape[before + 1 :]))

    def exp(self, x: Array) -> Array:
        return torch.exp(x)

    def log(self, x: Array) -> Array:
        return torch.log(x)

    def sqrt(self, x: Array) -> Array:
        return torch.sqrt(x)

    def cos(self, x: Array) -> Array:
        return torch.cos(x)

    def sin(self, x: Array) -> Array:
        return torch.sin(x)

    def tanh(self, x: Array) -> Array:
        return torch.tanh(x)

    def sigmoid(self, x: Array) -> Array:
        return torch.sigmoid(x)

    def erf(self, x: Array) -> Array:
        return torch.erf(x)

    def minimum(self, x: Array, y: Array) -> Array:
        return torch.minimum(x, y)

    def maximum(self, x: Array, y: Array) -> Array:
        return torch.maximum(x, y)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        return torch.where(condition, x, y)

    def sum(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return torch.sum(x, axis, keepdim=keepdims, dtype=x.dtype)

    def max(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return torch.amax(x, axis, keepdim=keepdims)

    def argmax(self, x: Array, axis: int) -> Array:
        return torch.argmax(x, axis).to(torch.int32)

    def matmul(self, x: Array, y: Array) -> Array:
        return torch.matmul(x, y)

    def stop_gradient(self, x: Array) -> Array:
        return x.detach()

    def value_and_grad(
        self, f: Callable[..., Tree], *, aux: bool = False
    ) -> Callable[..., tuple[Tree, Tree]]:
        if self._device.type == "cpu":
            keep_freed_memory()

        def value_and_gradients(tree: Tree, *args: Any) -> tuple[Tree, Tree]:
            with torch.enable_grad():
                watched = tree_map(lambda x: x.detach().requires_grad_(), tree)
                result = f(watched, *args)
                value = result[0] if aux else result
                leaves: list[Array] = []
                tree_map(leaves.append, watched)
                if not value.requires_grad:  # nothing was used
                    return result, tree_map(torch.zeros_like, tree)
                grads = iter(torch.autograd.grad(value, leaves, materialize_grads=True))
            return tree_map(torch.Tensor.detach, result), tree_map(lambda _: next(grads), tree)

        return value_and_gradients

    def compile(
        self, f: Callable[..., Tree], *, donate: Sequence[int] = (), static: Sequence[int] = ()
    ) -> Callable[..., Tree]:
        del donate, static  # nothing is compiled
        return f

    def scan(
        self,
        f: Callable[[Tree, Tree], tuple[Tree, Tree]],
        init: Tree,
        xs: Tree,
        *,
        reverse: bool = False,
    ) -> tuple[Tree, Tree]:
        return loop_scan(torch.stack, f, init, xs, reverse=reverse)

    def cache_update(self, buffer: Array, values: Array, start: Array, axis: int) -> Array:
        differentiated = torch.is_grad_enabled() and values.requires_grad
        target = buffer.clone() if differentiated or _is_part(buffer) else buffer
        target.narrow(axis, int(start), values.shape[axis]).copy_(values)
        return target

    def random_uniform(self, key: Array, shape: Sequence[int], dtype: DType) -> Array:
        kind = getattr(torch, dtype)
        if is_traced():  # a key can't be looked at; torch's own generator makes the draws
            return torch.rand(tuple(shape), dtype=kind, device=self._device)
        high, low = (int(word) for word in key)
        generator = torch.Generator(self._device).manual_seed(_mix_bits(high << 32 | low))
        return torch.rand(tuple(shape), generator=generator, dtype=kind, device=self._device)


_LOW = 2**64 - 1


def _is_part(x: Array) -> bool:
    """Whether an array is a view of more memory than its own, or of less, as if it were more."""
    return bool(x.untyped_storage().nbytes() != x.nelement() * x.element_size())


def _mix_bits(word: int) -> int:
    """64 bits, each of which depends on all bits of ``word`` (Steele et al., OOPSLA '14, fig. 13).

    The generator of a processor takes the lower 32 alone.
    """
    word = word + 0x9E3779B97F4A7C15 & _LOW
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _LOW
    word = (word ^ word >> 27) * 0x94D049BB133111EB & _LOW
    return word ^ word >> 31
