"""The formula of the oracle that judges each operation of the contract.

Constraint: an operation without a formula says what judges it instead.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPERATIONS"]

_BITS = "moves bits and computes nothing: compared exactly"
_LAW = "laws of the contract, and formulas of what runs inside"
_CACHE = "attention.attention"


def _arithmetic(*names: str) -> dict[str, str]:
    return {name: f"arithmetic.Arithmetic.{name}" for name in names}


OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        **_arithmetic("exp", "log", "sqrt", "cos", "sin", "tanh", "sigmoid", "erf", "where"),
        **_arithmetic("full", "reshape", "concat", "take", "sum", "mean", "max", "matmul"),
        **dict.fromkeys(("minimum", "maximum"), "arithmetic.Arithmetic.where"),
        "permute_dims": "arithmetic.Arithmetic.transpose",
        "value_and_grad": "tape.gradient",
        **{
            name: f"activation.{name}"
            for name in ("softmax", "log_softmax", "relu", "silu", "gelu", "gelu_tanh", "swiglu")
        },
        **{name: f"norm.{name}" for name in ("linear", "layer_norm", "rms_norm")},
        "expert_linear": "norm.linear",
        "rotate": "positions.rotate",
        **dict.fromkeys(("attention", "cache_append", "cache_attend", "cache_grow"), _CACHE),
        **{name: f"recurrent.{name}" for name in ("gru_cell", "lstm_cell")},
        **{name: f"loss.{name}" for name in ("mse", "cross_entropy", "soft_cross_entropy")},
        "global_norm": "optimizers.norm",
        "adam_update": "optimizers.adam_step",
        **dict.fromkeys(
            (
                "asarray", "to_numpy", "arange", "astype", "dtype", "broadcast_to", "argmax",
                "cache_update", "cache_create", "one_hot", "pack_linear", "unpack_linear",
                "take_rows", "pack_blocks", "unpack_bits",
            ),
            _BITS,
        ),
        **dict.fromkeys(
            ("stop_gradient", "compile", "scan", "remat", "random_uniform", "dropout"), _LAW
        ),
    }
)  # fmt: skip
"""``module.function`` of the oracle by the name of the operation, or what judges it instead."""
