"""Packed weights: which layout the library multiplies fastest depends on the number of rows.

Constraints: float32 stays float32. Measured on a processor with AVX-512, a step's products over
all layers of SmolLM2-135M, in ms: at one row MKL takes 19.6 as (out, in) and 17.5 as (in, out),
oneDNN's blocks 23; at eight rows 48, 43 and 28; at 512 all are alike. So a weight is stored as
(in, out), and becomes blocks when several sequences are decoded at once; it is never kept twice,
but for a table whose rows are looked up.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, final

import torch
from torch.nn import functional

from lmkernel_torch.few_bits import PackedCodes

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Delta

__all__ = ["PackedWeight", "linear", "pack_linear", "take_rows", "unpack_bits", "unpack_linear"]

_BATCH = range(4, 33)
"""How many sequences make blocks worth while."""
_ROWS = 8
"""The number of rows that blocks are made for; the layout is the same from 2 rows on."""


@final
class PackedWeight:
    """A weight in one of two layouts.

    Args:
        weight: (out, in).
    """

    __slots__ = ("_blocks", "_dense", "_looked_up", "shape")

    def __init__(self, weight: Array) -> None:
        self.shape = weight.shape
        self._dense: Array | None = weight.t().contiguous()
        self._blocks: Array | None = None
        self._looked_up = False

    def times(self, x: Array, bias: Array | None) -> Array:
        """``x (…, in) -> (…, out)``."""
        rows = x.reshape(-1, x.shape[-1])
        if self._blocks is None and _decodes_batch(x) and _has_blocks(self.dense()):
            self._blocks = torch.ops.mkldnn._reorder_linear_weight(  # noqa: SLF001 - there is no public way; see `_has_blocks`
                self.dense().t().contiguous(), _ROWS
            )
            if not self._looked_up:
                self._dense = None
        if self._blocks is not None and (self._dense is None or len(rows) > 1):
            y = torch.ops.mkldnn._linear_pointwise(rows, self._blocks, bias, "none", [], "")  # noqa: SLF001 - the same
        elif bias is None:
            y = rows @ self.dense()
        else:
            y = torch.addmm(bias, rows, self.dense())
        return y.view(*x.shape[:-1], self.shape[0])

    def dense(self) -> Array:
        """The weight as (in, out)."""
        if self._dense is not None:
            return self._dense
        if self._blocks is None:
            raise AssertionError("a packed weight has one layout at least")
        return self._blocks.to_dense().t()

    def rows(self, indices: Array) -> Array:
        """Rows of the weight, ``(…) -> (…, in)``; from now on it is kept dense."""
        if self._dense is None:
            self._dense = self.dense().contiguous()
        self._looked_up = True
        taken = torch.index_select(self._dense, 1, indices.reshape(-1)).t()
        return taken.reshape(*indices.shape, -1)


def _decodes_batch(x: Array) -> bool:
    """Whether ``x (batch, 1, width)`` is one step of several sequences."""
    return x.ndim == 3 and x.shape[1] == 1 and x.shape[0] in _BATCH  # noqa: PLR2004 - batch, time, width


def _has_blocks(weight: Array) -> bool:
    """Whether oneDNN's blocks can take this weight; without gradients only."""
    plain = weight.dtype == torch.float32 and weight.device.type == "cpu"
    return plain and not torch.is_grad_enabled() and _blocks_work()


@functools.cache
def _blocks_work() -> bool:
    """Whether this build multiplies blocks, and rightly: its functions are not public."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops, "mkldnn")):
        return False
    weight = torch.linspace(-1, 1, 96).reshape(12, 8).cos()
    x = torch.linspace(-2, 3, 40).reshape(5, 8).sin()
    try:
        blocks = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)  # noqa: SLF001 - probed here
        y = torch.ops.mkldnn._linear_pointwise(x, blocks, None, "none", [], "")  # noqa: SLF001 - the same
        exact = torch.equal(blocks.to_dense(), weight)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool(exact and torch.allclose(y, x @ weight.t(), rtol=1e-5, atol=1e-6))


def pack_linear(weight: Array) -> PackedWeight:
    """A copy as (in, out)."""
    return PackedWeight(weight)


def unpack_linear(weight: Array | PackedWeight | PackedCodes) -> Array:
    """The weight (out, in)."""
    if type(weight) is PackedCodes:
        return weight.numbers()
    return weight.dense().t() if type(weight) is PackedWeight else weight


def linear(
    x: Array,
    weight: Array | PackedWeight | PackedCodes,
    bias: Array | None = None,
    delta: Delta | None = None,
) -> Array:
    """One call for product and bias."""
    y = (
        weight.times(x, bias)
        if type(weight) in (PackedWeight, PackedCodes)
        else functional.linear(x, weight, bias)
    )
    if delta is None:
        return y
    return y + functional.linear(functional.linear(x, delta[0]), delta[1])


def take_rows(weight: Array | PackedWeight | PackedCodes, indices: Array) -> Array:
    """The embedding kernel, or columns of what is stored the other way."""
    if type(weight) is PackedCodes:
        return weight.numbers(indices.reshape(-1)).reshape(*indices.shape, -1)
    if type(weight) is PackedWeight:
        return weight.rows(indices)
    return functional.embedding(indices, weight)


def unpack_bits(x: Array, width: int, bits: int = 32) -> Array:
    """By shifts; bytes of words as they lie would need a little-endian device."""
    shifts = torch.arange(0, bits, width, dtype=torch.int32, device=x.device)
    fields = torch.bitwise_right_shift(x.unsqueeze(-1), shifts) & ((1 << width) - 1)
    return fields.reshape(*x.shape[:-1], x.shape[-1] * (bits // width))
