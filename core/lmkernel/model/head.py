"""The output: from the last hidden vectors to logits, or to whatever the model predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.components.parts import activate, declare_linear
from lmkernel.interfaces import Init, ParamTree

if TYPE_CHECKING:
    from lmkernel.config import HeadConfig
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["declare_head", "head"]


def declare_head(config: HeadConfig) -> ParamTree:
    """``{"weight" (size, width)?, "bias" (size,)?}``; a tied head has no weight of its own."""
    axes, init = ("vocab", "embed"), Init("normal", 0.02)
    tree = declare_linear(config.size, config.width, axes, bias=config.bias, init=init)
    if config.tied:
        tree.pop("weight")
    return tree


def head(ops: Ops, x: Array, params: dict[str, Any], config: HeadConfig, weight: Array) -> Array:
    """``(…, width) -> (…, size)`` with the own ``weight`` or the embedding's."""
    y = ops.linear(x, weight, params.get("bias"))
    if config.softcap is not None:
        cap = ops.full((), config.softcap, ops.dtype(y))
        y = ops.tanh(y / cap) * cap
    return activate(ops, y, config.activation)
