"""Adapters in PEFT's format: written, read over their model, and refused where unsound."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from small import HF_CONFIG, small_config
from small_bert import BERT, small_bert
from training_samples import GPT2, small_gpt2

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model, write_directory
from lmkernel.families.bert import Bert
from lmkernel.families.gpt2 import Gpt2
from lmkernel.families.llama import Llama
from lmkernel.families.names import from_ours, to_ours
from lmkernel.model import Model
from lmkernel.training.config import LoraConfig
from lmkernel.training.run.peft import write_adapters
from lmkernel.training.step.trainable import Adapters

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.families.family import Family

FAMILIES: dict[str, tuple[Family, dict[str, Any], Model]] = {
    "llama": (Llama(), HF_CONFIG, Model(load_backend("numpy"), small_config())),
    "gpt2": (Gpt2(), GPT2, Model(load_backend("numpy"), small_gpt2())),
    "bert": (Bert(), BERT, Model(load_backend("numpy"), small_bert("BertForMaskedLM"))),
}


def base_of(folder: Path, name: str) -> dict[str, np.ndarray]:
    """A model's directory; returns its values."""
    family, config, model = FAMILIES[name]
    values: dict[str, np.ndarray] = dict(model.initial(5))
    rules = family.rules(model.config)
    if name == "bert":
        config = {**config, "architectures": ["BertForMaskedLM"]}
    write_directory(folder, config=config, tensors=from_ours(values, rules, model.declare()))
    return values


def adapters_of(name: str, config: LoraConfig) -> tuple[Adapters, dict[str, np.ndarray]]:
    """Adapters of a model, and random values of them."""
    made = Adapters(FAMILIES[name][2].declare(), config)
    random = np.random.default_rng(7)
    shapes = {n: param.shape for n, param in made.declare().items()}
    return made, {n: random.normal(size=shape).astype(np.float32) for n, shape in shapes.items()}


def write(folder: Path, name: str, config: LoraConfig, base: Path) -> dict[str, np.ndarray]:
    """Adapters on disk; returns what they make of the base's values."""
    family, _, model = FAMILIES[name]
    made, low = adapters_of(name, config)
    folder.mkdir()
    rules = family.rules(model.config)
    write_adapters(folder, low, config, rules, model.declare(), base=str(base))
    return made.merge(base_of(base, name), low)


def read(folder: Path, name: str) -> dict[str, np.ndarray]:
    family, _, model = FAMILIES[name]
    tensors = open_model(folder).tensors
    return to_ours(tensors, family.rules(model.config), model.declare(), where=str(folder))


def config_in(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text())
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("targets", [(), ("q",), ("k", "v"), ("down", "o")])
def test_what_is_written_reads_as_the_merged_weights(
    tmp_path: Path, family: str, targets: tuple[str, ...]
) -> None:
    config = LoraConfig(rank=3, alpha=5.0, targets=targets)
    expected = write(tmp_path / "a", family, config, tmp_path / "base")
    got = read(tmp_path / "a", family)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


def test_the_files_are_those_that_peft_writes(tmp_path: Path) -> None:
    config = LoraConfig(rank=3, alpha=5.0, targets=("q",))
    write(tmp_path / "a", "llama", config, tmp_path / "base")
    tensors = load_file(tmp_path / "a" / "adapter_model.safetensors")
    prefix = "base_model.model.model.layers.0.self_attn.q_proj"
    assert tensors[f"{prefix}.lora_A.weight"].shape == (3, 24)
    assert tensors[f"{prefix}.lora_B.weight"].shape == (48, 3)
    assert len(tensors) == 4
    assert config_in(tmp_path / "a") == {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(tmp_path / "base"),
        "r": 3,
        "lora_alpha": 5.0,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": ["q_proj"],
        "rank_pattern": {},
        "alpha_pattern": {},
    }


def test_fused_layers_have_one_adapter_of_the_summed_rank(tmp_path: Path) -> None:
    config = LoraConfig(rank=2, alpha=8.0, targets=("q", "v"))
    write(tmp_path / "a", "gpt2", config, tmp_path / "base")
    tensors = load_file(tmp_path / "a" / "adapter_model.safetensors")
    module = "transformer.h.1.attn.c_attn"
    b = tensors[f"base_model.model.{module}.lora_B.weight"]
    assert tensors[f"base_model.model.{module}.lora_A.weight"].shape == (4, 24)
    assert b.shape == (72, 4)
    assert not b[24:48].any()  # the keys' rows
    assert not b[:24, 2:].any()
    assert not b[48:, :2].any()
    written = config_in(tmp_path / "a")
    assert written["fan_in_fan_out"] is True
    assert written["rank_pattern"][module] == 4
    assert written["alpha_pattern"][module] == 16.0


def test_one_of_fused_layers_needs_no_pattern(tmp_path: Path) -> None:
    write(tmp_path / "a", "gpt2", LoraConfig(rank=2, targets=("q",)), tmp_path / "base")
    tensors = load_file(tmp_path / "a" / "adapter_model.safetensors")
    b = tensors["base_model.model.transformer.h.0.attn.c_attn.lora_B.weight"]
    assert b.shape == (72, 2)
    assert b[:24].any()
    assert not b[24:].any()
    assert config_in(tmp_path / "a")["rank_pattern"] == {}


@pytest.mark.parametrize(
    ("family", "targets", "expected"),
    [
        ("gpt2", ("q", "up"), ["c_attn", "c_fc"]),
        ("gpt2", ("o", "down"), ["c_proj"]),
        ("gpt2", ("down",), ["transformer.h.0.mlp.c_proj", "transformer.h.1.mlp.c_proj"]),
        ("bert", ("q", "k"), ["key", "query"]),
    ],
)
def test_target_modules_name_what_is_adapted_and_nothing_else(
    tmp_path: Path, family: str, targets: tuple[str, ...], expected: list[str]
) -> None:
    write(tmp_path / "a", family, LoraConfig(targets=targets), tmp_path / "base")
    assert config_in(tmp_path / "a")["target_modules"] == expected


def test_adapters_of_adapters_add_up(tmp_path: Path) -> None:
    config = LoraConfig(rank=2, alpha=2.0, targets=("q",))
    once = write(tmp_path / "a", "llama", config, tmp_path / "base")
    made, low = adapters_of("llama", config)
    family, _, model = FAMILIES["llama"]
    (tmp_path / "b").mkdir()
    rules = family.rules(model.config)
    write_adapters(tmp_path / "b", low, config, rules, model.declare(), base=str(tmp_path / "a"))
    for name, value in made.merge(once, low).items():
        got = read(tmp_path / "b", "llama")[name]
        np.testing.assert_allclose(got, value, rtol=1e-5, atol=1e-5)
