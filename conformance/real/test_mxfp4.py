"""gpt-oss with experts in MXFP4, as its own files are, read to transformers' values."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from family_kinds import KINDS
from safetensors.numpy import load_file, save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors
from vocabulary_samples import byte_level

from lmkernel import load
from lmkernel.checkpoints.mxfp4 import dequantise
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path


def test_values_are_those_of_transformers() -> None:
    generator = np.random.default_rng(3)
    blocks = generator.integers(0, 256, (3, 7, 2, 16)).astype(np.uint8)
    scales = generator.integers(110, 140, (3, 7, 2)).astype(np.uint8)
    theirs = convert_moe_packed_tensors(
        torch.tensor(blocks), torch.tensor(scales), dtype=torch.float32
    )
    ours = dequantise(blocks, scales, "x").swapaxes(1, 2)
    np.testing.assert_array_equal(ours, theirs.numpy())


def test_a_model_with_packed_experts_is_the_one_with_their_values(tmp_path: Path) -> None:
    made = Tokenizer(byte_level(), {"eos_token": "<|endoftext|>"})
    sizes = {"hidden_size": 64, "intermediate_size": 32, "vocab_size": made.vocab_size}
    options = {**KINDS["gpt oss"].options, **sizes}
    replace(KINDS["gpt oss"], options=options).make().save_pretrained(tmp_path / "plain")
    tensors = load_file(tmp_path / "plain" / "model.safetensors")
    packed, generator = dict(tensors), np.random.default_rng(5)
    for name, value in tensors.items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            continue
        experts, into, out = value.shape
        blocks = generator.integers(0, 256, (experts, out, into // 32, 16)).astype(np.uint8)
        scales = generator.integers(122, 126, blocks.shape[:3]).astype(np.uint8)
        del packed[name]
        packed |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
        tensors[name] = np.ascontiguousarray(dequantise(blocks, scales, name).swapaxes(1, 2))
    config = json.loads((tmp_path / "plain" / "config.json").read_text("utf-8"))
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": []}
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "config.json").write_text(json.dumps(config), "utf-8")
    made.save(tmp_path / "packed")
    save_file(packed, tmp_path / "packed" / "model.safetensors")
    save_file(tensors, tmp_path / "plain" / "model.safetensors")
    expected, read = load(tmp_path / "plain"), load(tmp_path / "packed")
    for name, value in expected.parameters().items():
        np.testing.assert_array_equal(read.parameters()[name], value)
    ids = [[5, 9, 7, 3, 2, 8]]
    np.testing.assert_allclose(read.logits(ids), expected.logits(ids), rtol=0, atol=1e-5)
    read.save(tmp_path / "ours")
    written = json.loads((tmp_path / "ours" / "config.json").read_text("utf-8"))
    assert "quantization_config" not in written
    np.testing.assert_array_equal(load(tmp_path / "ours").logits(ids), expected.logits(ids))
