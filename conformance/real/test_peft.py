"""Adapters trained here, opened by PEFT on transformers: equal logits, merged and beside.

GPT-2 stores queries, keys and values as one transposed matrix, Llama's kin each by itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from lmkernel import load
from lmkernel.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

# of transformers, about a name that PEFT still uses
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

SIZES = {"width": 48, "layers": 2, "heads": 4, "context": 64, "vocab": 400, "batch": 4, "steps": 2}
TEXT = "The value of an attribute is looked up in the dictionary of its class."


@pytest.fixture(scope="module", params=["gpt2", "llama", "qwen2"])
def folders(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The models of a pre-training and of the adapters trained over it."""
    place = tmp_path_factory.mktemp(request.param)
    data = place / "data.jsonl"
    rows = [{"prompt": f"{n}? ", "completion": f"{n} and {n + 1}."} for n in range(12)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sizes = [text for name, size in SIZES.items() for text in (f"--{name}", str(size))]
    first, second = place / "first", place / "second"
    quiet = ("--quiet", "--backend", "torch")
    assert main(["pretrain", "--family", request.param, *sizes, "--out", str(first), *quiet]) == 0
    adapters = ["--lora", "3", "--steps", "20", "--rate", "0.02", "--data", str(data)]
    assert main(["finetune", f"{first}/model", *adapters, "--out", str(second), *quiet]) == 0
    return first / "model", second / "model"


def logits(model: Any, ids: list[int]) -> np.ndarray:
    with torch.inference_mode():
        found: np.ndarray = model.eval()(torch.tensor([ids])).logits.numpy()
    return found


def test_logits_equal(folders: tuple[Path, Path]) -> None:
    first, adapters = folders
    ours = load(adapters)
    ids = ours.tokenizer.encode(TEXT)
    base = AutoModelForCausalLM.from_pretrained(first)
    before = logits(base, ids)
    model = PeftModel.from_pretrained(base, adapters)
    expected = logits(model, ids)
    assert np.abs(expected - before).max() > 0.1
    np.testing.assert_allclose(ours.logits([ids]), expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(logits(model.merge_and_unload(), ids), expected, rtol=0, atol=2e-5)
