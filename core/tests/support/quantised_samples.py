"""Small checkpoints of quantised weights, made by the published layouts, number by number."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from small import HF_CONFIG, write_small

from lmkernel.backend import load_backend
from lmkernel.checkpoints import open_model
from lmkernel.families.family import HfConfig
from lmkernel.families.llama import Llama
from lmkernel.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["METHODS", "Made", "float8_blocks", "gptq_symmetric", "write_quantised"]

GROUP = 8
SIZES = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16}
CODES = {
    "float32": "F32",
    "float16": "F16",
    "int8": "I8",
    "uint8": "U8",
    "int32": "I32",
    "int64": "I64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e8m0fnu": "F8_E8M0",
}
Made = tuple[dict[str, np.ndarray], np.ndarray]
"""Tensors of one weight by the ends of their names, and the numbers in them."""


def _groups(weight: np.ndarray, size: int) -> np.ndarray:
    return weight.reshape(len(weight), -1, size)


def _affine(weight: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Codes, scales (out, groups) in float16, zeros from 1 on, and the numbers."""
    grouped, last = _groups(weight, GROUP), (1 << bits) - 1
    low = np.minimum(grouped.min(-1), -1e-3)
    scales = ((grouped.max(-1) - low) / last).astype(np.float16)
    zeros = np.clip(np.rint(-low / scales.astype(np.float32)), 1, last).astype(np.int64)
    step = scales.astype(np.float32)[..., None]
    codes = np.clip(np.rint(grouped / step) + zeros[..., None], 0, last).astype(np.int64)
    numbers = (codes - zeros[..., None]).astype(np.float32) * step
    return codes.reshape(weight.shape), scales, zeros, numbers.reshape(weight.shape)


def _in_words(fields: np.ndarray, bits: int, order: list[int] | None = None) -> np.ndarray:
    """Along the last axis; ``order`` is the column that each field of a word holds."""
    each = 32 // bits
    out = np.zeros((len(fields), fields.shape[1] // each), np.uint32)
    for i in range(each):
        column = i if order is None else order[i]
        out |= fields[:, column::each].astype(np.uint32) << np.uint32(bits * i)
    return out.view(np.int32)


def gptq(weight: np.ndarray, bits: int = 4, less: int = 1, order: bool = False) -> Made:
    """AutoGPTQ's layout; with an order, groups are of columns that are far apart."""
    width = weight.shape[1]
    places = np.random.default_rng(0).permutation(width) if order else np.arange(width)
    codes, scales, zeros, numbers = _affine(weight[:, places], bits)
    back = np.argsort(places)
    tensors = {
        "qweight": _in_words(codes[:, back], bits).T,
        "qzeros": _in_words((zeros.T - less) & ((1 << bits) - 1), bits),
        "scales": scales.T,
        "g_idx": (back // GROUP).astype(np.int32),
    }
    return tensors, numbers[:, back]


def gptq_symmetric(weight: np.ndarray, bits: int = 4, less: int = 1) -> Made:
    """The same where the middle of the codes stands for 0."""
    half, step = 1 << (bits - 1), np.abs(_groups(weight, GROUP)).max(-1) / ((1 << (bits - 1)) - 1)
    scales = np.maximum(step, 1e-3).astype(np.float16)
    spread = np.repeat(scales.astype(np.float32), GROUP, 1)
    codes = np.clip(np.rint(weight / spread) + half, 0, 2 * half - 1).astype(np.int64)
    tensors = {
        "qweight": _in_words(codes, bits).T,
        "qzeros": _in_words(np.full(scales.T.shape, half - less), bits),
        "scales": scales.T,
    }
    return tensors, (codes - half).astype(np.float32) * spread


def awq(weight: np.ndarray) -> Made:
    """AutoAWQ's layout, version GEMM."""
    codes, scales, zeros, numbers = _affine(weight, 4)
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    packed = (_in_words(x.T, 4, order) for x in (codes, zeros))
    return dict(zip(("qweight", "qzeros"), packed, strict=True)) | {"scales": scales.T}, numbers


def compressed(weight: np.ndarray, zeros: bool = True) -> Made:
    """compressed-tensors, pack-quantized: signed codes plus half their range."""
    codes, scales, middles, numbers = _affine(weight, 4)
    tensors = {
        "weight_packed": _in_words(codes, 4),
        "weight_scale": scales,
        "weight_shape": np.array(weight.shape, np.int64),
    }
    if zeros:
        tensors["weight_zero_point"] = _in_words(middles.T, 4).T
        return tensors, numbers
    step = np.repeat(scales.astype(np.float32), GROUP, 1)
    return tensors, (codes - 8).astype(np.float32) * step


def int8_rows(weight: np.ndarray) -> Made:
    """compressed-tensors, int-quantized: a scale a row."""
    scales = (np.abs(weight).max(1, keepdims=True) / 127).astype(np.float32)
    codes = np.rint(weight / scales).astype(np.int8)
    return {"weight": codes, "weight_scale": scales}, codes.astype(np.float32) * scales


def float8_rows(weight: np.ndarray) -> Made:
    """compressed-tensors, float-quantized: a scale a row."""
    scales = (np.abs(weight).max(1, keepdims=True) / 448).astype(np.float32)
    codes = (weight / scales).astype(ml_dtypes.float8_e4m3fn)
    return {"weight": codes, "weight_scale": scales}, codes.astype(np.float32) * scales


def float8_blocks(weight: np.ndarray, size: int = 32, powers: type | None = None) -> Made:
    """FP8 with scales for square blocks, the last ones cut off; powers of two as bytes or E8M0."""
    out, width = weight.shape
    scales = np.random.default_rng(1).uniform(0.5, 2, (-(-out // size), -(-width // size)))
    stored = scales = scales.astype(np.float32)
    if powers is not None:
        bits = np.random.default_rng(2).integers(118, 130, scales.shape).astype(np.uint8)
        stored, scales = bits.view(powers), bits.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
    spread = np.repeat(np.repeat(scales, size, 0)[:out], size, 1)[:, :width]
    codes = (weight / spread).astype(ml_dtypes.float8_e4m3fn)
    return {"weight": codes, "weight_scale_inv": stored}, codes.astype(np.float32) * spread


def bnb8(weight: np.ndarray) -> Made:
    """bitsandbytes, 8 bits: the largest of a row is 127."""
    largest = np.abs(weight).max(1).astype(np.float32)
    codes = np.rint(weight / largest[:, None] * 127).astype(np.int8)
    numbers = codes.astype(np.float32) * largest[:, None] * np.float32(1 / 127)
    return {"weight": codes, "SCB": largest, "weight_format": np.array(0, np.uint8)}, numbers


def nf4(weight: np.ndarray, nested: bool = False) -> Made:
    """bitsandbytes, nf4: blocks of 64, two codes in a byte, the first in the upper half."""
    from lmkernel.composed.codes import CODES as KINDS

    table = np.array(KINDS["nf4"].levels, np.float32)
    flat = weight.reshape(-1, 64)
    largest = np.abs(flat).max(1).astype(np.float32)
    codes = np.abs((flat / largest[:, None])[..., None] - table).argmin(-1).astype(np.uint8)
    pairs = codes.reshape(-1, 2)
    state: dict[str, Any] = {"quant_type": "nf4", "blocksize": 64, "dtype": "float32"}
    state["shape"] = list(weight.shape)
    tensors = {
        "weight": (pairs[:, :1] << 4 | pairs[:, 1:]).astype(np.uint8),
        "weight.absmax": largest,
        "weight.quant_map": table,
    }
    if nested:
        offset = float(largest.mean())
        sizes = np.array([np.abs(largest - offset).max()], np.float32)
        steps = np.linspace(-1, 1, 256).astype(np.float32)
        small = np.abs((largest - offset)[:, None] / sizes - steps).argmin(-1).astype(np.uint8)
        largest = steps[small] * sizes[0] + np.float32(offset)
        tensors |= {"weight.absmax": small, "weight.nested_absmax": sizes}
        tensors["weight.nested_quant_map"] = steps
        state |= {"nested_blocksize": 256, "nested_offset": offset, "nested_dtype": "float32"}
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    tensors["weight.quant_state.bitsandbytes__nf4"] = text
    return tensors, (table[codes] * largest[:, None]).reshape(weight.shape)


def _groups_of(bits: int) -> dict[str, Any]:
    return {"config_groups": {"group_0": {"weights": {"num_bits": bits}, "targets": ["Linear"]}}}


_CT = {"quant_method": "compressed-tensors"}
_GPTQ = {"quant_method": "gptq", "group_size": GROUP}
METHODS: dict[str, tuple[dict[str, Any], Callable[[np.ndarray], Made], str]] = {
    "gptq": ({**_GPTQ, "bits": 4}, gptq, "int4"),
    "gptq, 8 bits": ({**_GPTQ, "bits": 8}, lambda w: gptq(w, 8), "int8"),
    "gptq, second format": (
        {**_GPTQ, "bits": 4, "checkpoint_format": "gptq_v2"},
        lambda w: gptq(w, less=0),
        "int4",
    ),
    "gptq, in order of activations": (
        {**_GPTQ, "bits": 4, "desc_act": True},
        lambda w: gptq(w, order=True),
        "",
    ),
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": GROUP}, awq, "int4"),
    "packed": ({**_CT, "format": "pack-quantized", **_groups_of(4)}, compressed, "int4"),
    "packed, symmetric": (
        {**_CT, "format": "pack-quantized", **_groups_of(4)},
        lambda w: compressed(w, zeros=False),
        "int4",
    ),
    "int8 rows": ({**_CT, "format": "int-quantized", **_groups_of(8)}, int8_rows, "int8"),
    "float8 rows": ({**_CT, "format": "float-quantized", **_groups_of(8)}, float8_rows, "e4m3"),
    "float8 blocks": (
        {"quant_method": "fp8", "weight_block_size": [32, 32]},
        float8_blocks,
        "e4m3",
    ),
    "float8 blocks, powers of two": (
        {"quant_method": "fp8", "weight_block_size": [32, 32], "scale_fmt": "ue8m0"},
        lambda w: float8_blocks(w, powers=ml_dtypes.float8_e8m0fnu),
        "e4m3",
    ),
    "float8 blocks, powers of two in bytes": (
        {"quant_method": "fp8", "weight_block_size": [32, 32], "scale_fmt": "ue8m0"},
        lambda w: float8_blocks(w, powers=np.uint8),
        "e4m3",
    ),
    "float8 blocks of the usual size": (
        {"quant_method": "fp8"},
        lambda w: float8_blocks(w, 128),
        "e4m3",
    ),
    "bitsandbytes, 8 bits": (
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        bnb8,
        "int8_127",
    ),
    "nf4": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, nf4, "nf4"),
    "nf4, nested": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        lambda w: nf4(w, nested=True),
        "nf4",
    ),
}
"""What ``config.json`` says, how a weight is made, and the kind that is held in memory."""


def write_quantised(folder: Path, method: str) -> dict[str, np.ndarray]:
    """A small Llama with quantised linear layers; returns the numbers of every tensor."""
    said, make, _ = METHODS[method]
    config = {**HF_CONFIG, **SIZES}
    model = Model(load_backend("numpy"), Llama().read(HfConfig(config)))
    write_small(folder / "plain", model, config=config)
    plain = open_model(folder / "plain").tensors
    numbers, tensors = {}, {}
    for name in plain.names():
        value = np.array(plain.read(name))
        if "_proj" in name:
            parts, numbers[name] = make(value)
            module = name.removesuffix(".weight")
            tensors |= {f"{module}.{end}": part for end, part in parts.items()}
        else:
            tensors[name] = numbers[name] = value
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": said}))
    (folder / "model.safetensors").write_bytes(_safetensors(tensors))
    return numbers


def _safetensors(tensors: dict[str, np.ndarray]) -> bytes:
    header, data = {}, b""
    for name, value in sorted(tensors.items(), key=lambda pair: -pair[1].itemsize):
        raw = np.ascontiguousarray(value).tobytes()
        offsets = [len(data), len(data) + len(raw)]
        entry = {"dtype": CODES[str(value.dtype)], "shape": list(value.shape)}
        header[name] = {**entry, "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data
