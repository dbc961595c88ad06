"""Optional operations for which ONNX Runtime has something better than the composition."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.composed import assemble
from lmkernel_onnx.few_bits import PackedCodes, takes
from lmkernel_onnx.fused import attention, layer_norm, rms_norm, softmax
from lmkernel_onnx.tracing import alone
from lmkernel_onnx.values import cast_to, node

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.blocks import Blocks
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, MandatoryOps
    from lmkernel.contract.optional import Delta

__all__ = ["overrides"]

_WORD = np.dtype(np.uint32)
_INT = np.dtype(np.int32)


def overrides(mandatory: MandatoryOps) -> Mapping[str, Callable[..., Any]]:
    """The operations by name; they call their composition for weights that are not their own."""
    plain = assemble(mandatory, {})

    def pack_blocks(weight: Blocks, dtype: DType) -> Any:
        return PackedCodes(weight) if takes(weight, dtype) else plain.pack_blocks(weight, dtype)

    def linear(
        x: Array, weight: Any, bias: Array | None = None, delta: Delta | None = None
    ) -> Array:
        if type(weight) is not PackedCodes:
            return plain.linear(x, weight, bias, delta)
        y = weight.times(x, bias)
        return y if delta is None else y + plain.linear(plain.linear(x, delta[0]), delta[1])

    def normalised(x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
        # an operator's epsilon is a float32, so that of float64 would not be the one asked for
        wide = x.dtype == np.float64
        return (plain.layer_norm if wide else functools.partial(layer_norm, None))(
            x, weight, bias, eps
        )

    def take_rows(weight: Any, indices: Array) -> Array:
        if type(weight) is not PackedCodes:
            return plain.take_rows(weight, indices)
        return weight.rows(indices)

    def unpack_linear(weight: Any) -> Array:
        return weight.numbers() if type(weight) is PackedCodes else weight

    return {
        "softmax": functools.partial(softmax, None),
        "layer_norm": normalised,
        "rms_norm": functools.partial(rms_norm, None),
        "attention": attention,
        "pack_linear": _pack_linear,
        "unpack_linear": unpack_linear,
        "linear": linear,
        "take_rows": take_rows,
        "pack_blocks": pack_blocks,
        "unpack_bits": lambda x, width, bits=32: _unpack_bits(mandatory, x, width, bits),
    }


def _pack_linear(weight: Array) -> Array:
    """The weight, copied so that it lies in memory as its transpose (in, out) does.

    One row is multiplied a half faster by that. It is still an array: whoever transposes it has
    what is multiplied, without a copy.
    """
    return np.asfortranarray(weight)


@alone(1)
def _unpack_bits(_: MandatoryOps, x: Array, width: int, bits: int) -> Array:
    """By shifts of unsigned words."""
    shifts = np.arange(0, bits, width, dtype=_WORD)
    shape = (*x.shape, 1)
    words = cast_to(node("Reshape", [x, x.graph.sizes(shape)], _INT, shape), _WORD)
    spread = (*x.shape, len(shifts))
    shifted = node("BitShift", [words, shifts], _WORD, spread, direction="RIGHT")
    mask = np.array((1 << width) - 1, _WORD)
    fields = cast_to(node("BitwiseAnd", [shifted, mask], _WORD, spread), _INT)
    whole = (*x.shape[:-1], x.shape[-1] * len(shifts))
    return node("Reshape", [fields, fields.graph.sizes(whole)], _INT, whole)
