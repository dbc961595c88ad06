"""Which layers have a window: ``layer_types`` beside transformers, in all families with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from letters import letters
from transformers import AutoModelForCausalLM

from lmkernel import load
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

FULL, SLIDING = "full_attention", "sliding_attention"
IDS = [*range(1, 17)]
SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "sliding_window": 3,
    "pad_token_id": 0,
}
ASKED = {"use_sliding_window": True, "max_window_layers": 3}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
KINDS: dict[str, dict[str, Any]] = {
    "Mistral": {},
    "Ministral": {},
    "Qwen2": ASKED,
    "Qwen3": ASKED,
    "Gemma2": {},
    "Gemma3": {},
    "Olmo3": {},
    "SmolLM3": {"use_sliding_window": True},
    "Cohere2": {},
    "GptOss": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "Qwen2Moe": {**ASKED, **EXPERTS, "shared_expert_intermediate_size": 16},
}
LISTS = {
    "absent": None,
    "full": [FULL] * 4,
    "sliding": [SLIDING] * 4,
    "mixed": [SLIDING, FULL, FULL, SLIDING],
    "reversed": [FULL, SLIDING, SLIDING, FULL],
    "of old names": ["attention", SLIDING, FULL, FULL],
}
BAD = {"short": [FULL] * 3, "empty": [], "unknown": [FULL, "some", FULL, FULL]}


def logits(model: Any) -> np.ndarray:
    with torch.inference_mode():
        found: np.ndarray = model.eval()(torch.tensor([IDS])).logits.numpy()
    return found


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of each family."""
    name, place = request.param, tmp_path_factory.mktemp(request.param)
    config = getattr(transformers, f"{name}{'Text' * (name == 'Gemma3')}Config")
    torch.manual_seed(3)
    model = getattr(transformers, f"{name}ForCausalLM")(config(**SIZES, **KINDS[name]))
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn_like(value) * 0.2)
    model.save_pretrained(place)
    letters().save(place)
    return place


def say(folder: Path, kinds: list[str] | None) -> None:
    """Write which layers have a window, or nothing of it."""
    path = folder / "config.json"
    said = json.loads(path.read_text())
    said.pop("layer_types", None)
    path.write_text(json.dumps(said if kinds is None else {**said, "layer_types": kinds}))


@pytest.mark.parametrize("kinds", LISTS)
def test_logits_equal(folder: Path, tmp_path: Path, kinds: str) -> None:
    say(folder, LISTS[kinds])
    theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    ours, expected = load(folder, backend="numpy"), logits(theirs)
    limit = 2e-5 * np.abs(expected).max()
    np.testing.assert_allclose(ours.logits([IDS]), expected, rtol=0, atol=limit)
    ours.save(tmp_path / "saved")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", attn_implementation="eager")
    np.testing.assert_allclose(logits(again), expected, rtol=0, atol=limit)


@pytest.mark.parametrize("kinds", BAD)
def test_what_transformers_refuses_is_refused(folder: Path, kinds: str) -> None:
    say(folder, BAD[kinds])
    with pytest.raises(Exception, match="layer_types"):
        AutoModelForCausalLM.from_pretrained(folder)
    with pytest.raises(CheckpointError, match=r"config\.json: layer_types: expected"):
        load(folder, backend="numpy")
