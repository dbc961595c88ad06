"""Checkpoints of quantised weights, which are refused by the name of the method.

Methods differ in what they store in place of a weight, so a reader that does not know them would
miss tensors, or take packed integers for numbers.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["refuse_quantised_config", "refuse_quantised_names"]

_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "quantization_config": "a method without a name",
        "compression_config": "compressed-tensors",
        "quantization": "MLX",
    }
)
"""Where a configuration says how weights are quantised, and by what if it has no name for that."""
_BITS = ("bits", "w_bit", "nbits", "num_bits", "w_nbit")
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        r"qweight|qzeros|g_idx": "GPTQ or AWQ",
        r"SCB|weight\.(absmax|quant_map|nested_absmax|quant_state\..*)": "bitsandbytes",
        r"weight_scale(_inv)?|input_scale": "FP8",
        r"weight_packed": "compressed-tensors",
        r"codebooks": "AQLM",
        r"scales": "MLX, or another method with scales",
    }
)
"""The ends of names that only quantised checkpoints have."""
_PATTERNS = tuple((re.compile(rf"(.*\.)?({ends})"), method) for ends, method in _NAMES.items())


def refuse_quantised_config(config: Mapping[str, Any], where: str) -> None:
    """Raise `CheckpointError` if a configuration says that the weights are quantised."""
    for key, usual in _KEYS.items():
        if said := config.get(key):
            raise CheckpointError(
                f"{where}: {key}: expected weights that are floating numbers, got ones that are "
                f"quantised by {_method(said, usual)}"
            )


def refuse_quantised_names(names: Iterable[str], where: str) -> None:
    """Raise `CheckpointError` if names of tensors, which do not fit, are of quantised weights."""
    for name in names:
        for pattern, method in _PATTERNS:
            if pattern.fullmatch(name):
                raise CheckpointError(
                    f"{where}: expected weights that are floating numbers, got ones that are "
                    f"quantised by {method}, for there is the tensor {name!r}"
                )


def _method(said: Any, usual: str) -> str:
    """The method and the number of bits, as far as they are said."""
    if not isinstance(said, dict):
        return f"{said!r:.80}"
    loaded = [bits for bits in (4, 8) if said.get(f"load_in_{bits}bit")]
    method = said.get("quant_method") or ("bitsandbytes" if loaded else usual)
    bits = next(iter([said[key] for key in _BITS if key in said] + loaded), None)
    return f"{method!s:.80}" + (f" to {bits!s:.20} bits" if bits is not None else "")
