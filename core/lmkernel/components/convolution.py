"""Convolutions in time as one product: what an output sees lies side by side in its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["convolve", "convolve_groups"]


def convolve(ops: Ops, x: Array, params: dict[str, Any], stride: int = 1, edge: int = 0) -> Array:
    """A convolution in time (cross-correlation, as frameworks have it).

    Args:
        ops: the backend's operations.
        x: ``(batch, time, in)``; with its edges at least a kernel long.
        params: ``{"weight" (out, in, kernel), "bias" (out,)?}``.
        stride: steps from one output to the next.
        edge: how many zeros stand before the first step, and after the last.

    Returns:
        ``(batch, ⌊(time + 2·edge - kernel) / stride⌋ + 1, out)``.
    """
    weight = params["weight"]
    out, into, kernel = weight.shape
    count = (x.shape[1] + 2 * edge - kernel) // stride + 1
    # steps in rows of a stride each: an output sees so many rows whole, the last one in part, whose
    # further steps have the weight 0
    rows = -(-kernel // stride)
    folded = _folded(ops, _lengthened(ops, x, edge, (count + rows - 1) * stride), stride)
    matrix = ops.permute_dims(weight, (0, 2, 1))
    if rows * stride > kernel:
        rest = ops.full((out, rows * stride - kernel, into), 0.0, ops.dtype(weight))
        matrix = ops.concat([matrix, rest], 1)
    matrix = ops.reshape(matrix, (out, rows * stride * into))
    return ops.linear(_side_by_side(ops, folded, rows), matrix, params.get("bias"))


def convolve_groups(ops: Ops, x: Array, params: dict[str, Any], groups: int, edge: int) -> Array:
    """Convolutions side by side, each of its own share of the elements, with a stride of 1.

    Args:
        ops: the backend's operations.
        x: ``(batch, time, in)``.
        params: ``{"weight" (out, in / groups, kernel), "bias" (out,)}``.
        groups: how many, a divisor of ``in`` and ``out``.
        edge: as of `convolve`.

    Returns:
        ``(batch, time + 2·edge - kernel + 1, out)``.
    """
    out, into = params["weight"].shape[0] // groups, x.shape[2] // groups
    return ops.concat(
        [
            convolve(
                ops,
                x[:, :, i * into : (i + 1) * into],
                {name: value[i * out : (i + 1) * out] for name, value in params.items()},
                edge=edge,
            )
            for i in range(groups)
        ],
        2,
    )


def _lengthened(ops: Ops, x: Array, edge: int, length: int) -> Array:
    """``x`` behind the zeros of its edge, cut or filled up with zeros to a length."""
    batch, time, into = x.shape
    after = max(length - edge - time, 0)
    ends = [ops.full((batch, size, into), 0.0, ops.dtype(x)) for size in (edge, after)]
    parts = [part for part in (ends[0], x, ends[1]) if part.shape[1]]
    return (ops.concat(parts, 1) if len(parts) > 1 else x)[:, :length]


def _folded(ops: Ops, x: Array, size: int) -> Array:
    """So many steps in each row: ``(batch, time, in) -> (batch, time / size, size · in)``."""
    batch, time, into = x.shape
    return x if size == 1 else ops.reshape(x, (batch, time // size, size * into))


def _side_by_side(ops: Ops, x: Array, size: int) -> Array:
    """Each row with those after it, ``(batch, rows - size + 1, size · width)``.

    Twice as many are two views of half as many, so that a long kernel takes few operations.
    """
    if size == 1:
        return x
    half, count = size // 2, x.shape[1] - size + 1
    pairs = _side_by_side(ops, x, half)
    parts = [pairs[:, :count], pairs[:, half : half + count]]
    if size % 2:
        parts.append(x[:, size - 1 :])
    return ops.concat(parts, 2)
