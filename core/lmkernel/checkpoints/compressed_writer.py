"""Weights of few bits as compressed-tensors packs them, for folders that transformers opens.

Of a linear layer ``M``: ``M.weight_packed``, codes in int32 words, the first lowest;
``M.weight_scale (out, groups)``; ``M.weight_shape``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.parameters.quantising import quantise, unpacked_codes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from numpy.typing import NDArray

    from lmkernel.parameters.quantising import Scheme

__all__ = ["compressed_tensors", "compression"]

_WORD = 32


def compressed_tensors(
    tensors: Iterable[tuple[str, NDArray[Any]]],
    modules: Collection[str],
    scheme: Scheme,
    errors: dict[str, float],
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The same tensors with the weights of some modules packed.

    Args:
        tensors: of a checkpoint, by name.
        modules: the names of those that are packed.
        scheme: how; symmetric.
        errors: gets the relative error of each weight.
    """
    for name, value in tensors:
        module = name.removesuffix(".weight")
        if module not in modules or module == name:
            yield name, value
            continue
        blocks, errors[name] = quantise(value, scheme, name)
        codes = unpacked_codes(blocks, scheme.bits)
        yield f"{module}.weight_packed", _words(codes, scheme.bits)
        yield f"{module}.weight_scale", np.asarray(blocks.scales)
        yield f"{module}.weight_shape", np.array(value.shape, np.int64)


def _words(codes: NDArray[np.uint8], bits: int) -> NDArray[np.int32]:
    """Rows of codes in words, filled up with the code of 0."""
    each = _WORD // bits
    short = -codes.shape[1] % each
    padded = np.pad(codes, ((0, 0), (0, short)), constant_values=1 << (bits - 1))
    shifts = np.arange(0, _WORD, bits, dtype=np.uint32)
    fields = padded.reshape(len(codes), -1, each).astype(np.uint32) << shifts
    words: NDArray[np.uint32] = np.bitwise_or.reduce(fields, axis=-1)
    return words.view(np.int32)


def compression(scheme: Scheme, plain: Collection[str]) -> dict[str, Any]:
    """What ``config.json`` says under ``quantization_config``; ``plain`` modules stay numbers."""
    weights = {
        "num_bits": scheme.bits,
        "type": "int",
        "symmetric": True,
        "strategy": "group" if scheme.group else "channel",
        "group_size": scheme.group or None,
        "dynamic": False,
        "actorder": None,
    }
    group = {"targets": ["Linear"], "weights": weights}
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": {**group, "input_activations": None}},
        "ignore": sorted(plain),
    }
