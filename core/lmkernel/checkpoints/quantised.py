"""What a configuration says of quantised weights; methods that are not read are refused by name.

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

__all__ = [
    "quantisation",
    "refuse_quantised",
    "refuse_quantised_names",
    "without_quantisation",
]

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


def quantisation(config: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The key under which a configuration says that weights are quantised, and what it says."""
    for key in _KEYS:
        if said := config.get(key):
            return key, said if isinstance(said, dict) else {"quant_method": said}
    return None


def without_quantisation(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same configuration, of weights that are numbers."""
    return {key: value for key, value in config.items() if key not in _KEYS}


def refuse_quantised(config: Mapping[str, Any], where: str) -> CheckpointError:
    """What to raise where weights are quantised by a method that is not read."""
    key, said = quantisation(config) or ("quantization_config", {})
    return CheckpointError(
        f"{where}: {key}: expected weights that are floating numbers, or quantised by GPTQ or AWQ "
        "(4 or 8 bits), compressed-tensors (integers or FP8), bitsandbytes or FP8, got ones that "
        f"are quantised by {_method(said, _KEYS[key])}"
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


def _method(said: Mapping[str, Any], usual: str) -> str:
    """The method and the number of bits, as far as they are said."""
    loaded = [bits for bits in (4, 8) if said.get(f"load_in_{bits}bit")]
    method = said.get("quant_method") or ("bitsandbytes" if loaded else usual)
    bits = next(iter([said[key] for key in _BITS if key in said] + loaded), None)
    text = f"{method!s:.80}" + (f" to {bits!s:.20} bits" if bits is not None else "")
    return text + (f" ({said['format']!s:.40})" if said.get("format") else "")
