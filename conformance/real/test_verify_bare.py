"""Models without a head beside transformers: right, and a defect placed and named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import port_breaks as wrong
import pytest
from asking_ports import verify_port
from broken_families import untouched
from family_configs import CONFIGS

import lmkernel as lk

if TYPE_CHECKING:
    from pathlib import Path

BARE = {
    "untied": "LlamaModel",
    "gemma2": "Gemma2Model",
    "gpt2_small": "GPT2Model",
    "gpt_neox": "GPTNeoXModel",
    "bloom": "BloomModel",
    "mixtral": "MixtralModel",
    "modernbert": "ModernBertModel",
    "bert_masked": "BertModel",
}


def twin(name: str, folder: Path) -> Path:
    config: dict[str, Any] = {**CONFIGS[name], "architectures": [BARE[name]]}
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    return lk.twin(folder / "config.json", folder / "twin").path


@pytest.mark.parametrize("name", BARE)
def test_hidden_vectors_are_right(name: str, tmp_path: Path) -> None:
    found = verify_port(twin(name, tmp_path), untouched)
    assert found.passed, found
    assert found.document["compared"] == "hidden"
    causal = not BARE[name].endswith("BertModel")
    [cache] = [g for g in found.document["guards"] if g["name"] == "cache"]
    assert cache["state"] == ("ok" if causal else "not asked")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_hidden_vectors_in_16_bits_are_right(dtype: str, tmp_path: Path) -> None:
    found = verify_port(twin("untied", tmp_path), untouched, dtype=dtype)
    assert found.passed, found


def test_a_defect_is_placed_and_named(tmp_path: Path) -> None:
    found = verify_port(twin("untied", tmp_path), wrong.set_eps(1e-3))
    assert found.parts_at == "layer 0 (attention)", found
    assert found.diagnoses == ("norm.eps",)
