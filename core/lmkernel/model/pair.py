"""How similar pictures and texts are: their vectors' cosines, times a learned factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.interfaces import Init, Param, ParamTree

if TYPE_CHECKING:
    from lmkernel.config import PairConfig
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["declare_pair", "similarity"]


def declare_pair(config: PairConfig) -> ParamTree:
    """``{"scale" (1,), "bias" (1,)?}``; the scale is the factor's logarithm."""
    tree = {"scale": Param((1,), Init("ones", config.scale), ("factor",))}
    if config.bias:
        tree["bias"] = Param((1,), Init("zeros"), ("factor",))
    return tree


def similarity(ops: Ops, params: dict[str, Any], pictures: Array, texts: Array) -> Array:
    """The logits of each picture with each text, ``(pictures, texts)``.

    Args:
        ops: the backend's operations.
        params: as declared.
        pictures: vectors ``(pictures, size)``.
        texts: vectors ``(texts, size)``.
    """
    one, other = (_unit(ops, vectors) for vectors in (pictures, texts))
    cosines = ops.matmul(one, ops.permute_dims(other, (1, 0)))
    # the numbers of one axis stand in parameters' dtype, the cosines in the output's
    factor, bias = (
        None if number is None else ops.astype(number, ops.dtype(cosines))
        for number in (params["scale"], params.get("bias"))
    )
    scaled = cosines * ops.exp(factor)
    return scaled if bias is None else scaled + bias


def _unit(ops: Ops, vectors: Array) -> Array:
    return vectors / ops.sqrt(ops.sum(vectors * vectors, 1, keepdims=True))
