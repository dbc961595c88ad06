"""Adapters trained here, opened by PEFT on transformers: equal logits, merged and beside.

GPT-2 stores queries, keys and values as one transposed matrix, Llama's kin each by itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from letters import letters
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

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


PATTERNS = [
    {"alpha_pattern": {"^model.layers.0.self_attn.q_proj": 64}},
    {"alpha_pattern": {"(q|v)_proj": 64}},
    {"alpha_pattern": {r"model\.layers\.0\..*q_proj": 64, "v_proj": 2}},
    {"alpha_pattern": {r".*\.layers\.1\..*": 64, "q_proj": 3}, "use_rslora": True},
    {"rank_pattern": {r"layers\.\d+\.self_attn\.[vk]_proj": 2}, "alpha_pattern": {"proj": 9}},
    {"alpha_pattern": {"q_pro": 64, "layers.0.self_attn.q_proj": 5}},
]


IDS = [3, 1, 4, 1, 5, 9, 2, 6]


def write_adapters(folder: Path, *, tied: bool = False, rows: int = 61, **said: Any) -> Any:
    """A small Llama and adapters of it with other values everywhere; returns PEFT's model."""
    config = LlamaConfig(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
        attention_bias=True,
        tie_word_embeddings=tied,
    )
    torch.manual_seed(5)
    LlamaForCausalLM(config).save_pretrained(folder / "base")
    letters().save(folder / "base")
    base = AutoModelForCausalLM.from_pretrained(folder / "base")
    if rows != config.vocab_size:
        base.resize_token_embeddings(rows, mean_resizing=False)
    model: Any = get_peft_model(base, LoraConfig(r=4, lora_alpha=4, **said))
    for value in model.parameters():
        if value.requires_grad:
            torch.nn.init.normal_(value, std=0.3)
    model.save_pretrained(folder / "adapters", save_embedding_layers="auto")
    written = folder / "adapters" / "adapter_config.json"
    described = {**json.loads(written.read_text()), "base_model_name_or_path": f"{folder / 'base'}"}
    written.write_text(json.dumps(described))
    return model


@pytest.mark.filterwarnings("ignore:The following .* keys did not match:RuntimeWarning")
@pytest.mark.parametrize("said", PATTERNS)
def test_b40_patterns_scale_as_peft_scales(tmp_path: Path, said: dict[str, Any]) -> None:
    model = write_adapters(tmp_path, target_modules=["q_proj", "k_proj", "v_proj"], **said)
    expected = logits(model, IDS)
    np.testing.assert_allclose(load(tmp_path / "adapters").logits([IDS]), expected, atol=2e-5)
    with model.disable_adapter():
        assert np.abs(expected - logits(model, IDS)).max() > 0.05


KEPT = [
    {"modules_to_save": ["embed_tokens", "lm_head"]},
    {"modules_to_save": ["embed_tokens", "lm_head", "norm"], "tied": True},
    {"modules_to_save": ["lm_head"], "tied": True},
    {"modules_to_save": ["embed_tokens", "lm_head"], "rows": 70},
    {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
    {"target_modules": ["v_proj", "lm_head"], "tied": True},
    {"target_modules": ["q_proj", "embed_tokens"], "fan_in_fan_out": False},
    {"bias": "lora_only"},
    {"bias": "all"},
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # of both, about heads that are tied no more
@pytest.mark.parametrize("said", KEPT)
def test_tensors_that_are_kept_whole_are_the_models(tmp_path: Path, said: dict[str, Any]) -> None:
    model = write_adapters(tmp_path, **{"target_modules": ["q_proj", "v_proj"], **said})
    ours, expected = load(tmp_path / "adapters"), logits(model, IDS)
    np.testing.assert_allclose(ours.logits([IDS]), expected, atol=2e-5)
    ours.save(tmp_path / "merged")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    np.testing.assert_allclose(logits(again, IDS), expected, atol=2e-5)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
def test_a_table_and_the_head_that_is_tied_to_it_are_adapted_alike(tmp_path: Path) -> None:
    said = {"target_modules": ["q_proj", "embed_tokens"], "ensure_weight_tying": True}
    model = write_adapters(tmp_path, tied=True, **said)
    ours = load(tmp_path / "adapters", backend="numpy")
    assert ours.config.head is not None
    assert ours.config.head.tied
    np.testing.assert_allclose(ours.logits(IDS), logits(model, IDS)[0], rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore:.*fan_in_fan_out.*:UserWarning")  # of both
@pytest.mark.filterwarnings("ignore:.*(tie_word_embeddings|embedding_layers).*:UserWarning")
@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("targets", [["attn.c_proj"], ["c_fc"], ["c_attn", "lm_head"], ["q_proj"]])
def test_the_model_says_how_a_weight_is_stored(
    tmp_path: Path, targets: list[str], *, flag: bool
) -> None:
    """Whatever ``fan_in_fan_out`` says: PEFT goes by the module's class."""
    sizes = {"vocab_size": 61, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
    torch.manual_seed(5)
    base: Any = (
        LlamaForCausalLM(LlamaConfig(**sizes, intermediate_size=40))
        if targets == ["q_proj"]
        else GPT2LMHeadModel(GPT2Config(**sizes, n_positions=32))
    )
    base.save_pretrained(tmp_path / "base")
    letters().save(tmp_path / "base")
    model: Any = get_peft_model(base, LoraConfig(r=4, target_modules=targets))
    for value in model.parameters():
        if value.requires_grad:
            torch.nn.init.normal_(value, std=0.3)
    model.save_pretrained(tmp_path / "adapters")
    written = tmp_path / "adapters" / "adapter_config.json"
    said = {"base_model_name_or_path": f"{tmp_path / 'base'}", "fan_in_fan_out": flag}
    written.write_text(json.dumps({**json.loads(written.read_text()), **said}))
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    expected = logits(PeftModel.from_pretrained(plain, tmp_path / "adapters"), IDS)
    found = load(tmp_path / "adapters", backend="numpy").logits([IDS])
    np.testing.assert_allclose(found, expected, atol=2e-5)
