"""The family of docs/add-a-family.md gives the logits of transformers' own class, both ways."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from documented_family import PACKAGE, write_distribution
from transformers import SeedOssConfig, SeedOssForCausalLM, SeedOssForSequenceClassification

import lmkernel as lk
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.llama import Llama
from lmkernel.plugins import Registry
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IDS = np.random.default_rng(2).integers(1, 280, (2, 9))


@pytest.fixture(autouse=True)
def _in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(write_distribution(tmp_path / "seed") / "src")
    registry = Registry()
    registry.register("seed_oss", importlib.import_module(f"{PACKAGE}.plugin"))
    with registry.use():
        yield


@pytest.mark.parametrize("kind", [SeedOssForCausalLM, SeedOssForSequenceClassification])
@pytest.mark.parametrize("flags", [(True, False, False), (False, True, True)])
def test_logits_are_those_of_transformers(
    tmp_path: Path, kind: type, flags: tuple[bool, bool, bool]
) -> None:
    torch.manual_seed(1)
    config = SeedOssConfig(
        vocab_size=280,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=12,
        initializer_range=0.3,
        pad_token_id=0,
        attention_bias=flags[0],
        attention_out_bias=flags[1],
        mlp_bias=flags[2],
    )
    theirs = kind(config).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
        expected = theirs(torch.tensor(IDS)).logits.numpy()
    theirs.save_pretrained(tmp_path / "a")
    train_tokenizer(["q"], 270, Llama().special_tokens()).save(tmp_path / "a")
    ours = lk.load(tmp_path / "a", backend="numpy")
    np.testing.assert_allclose(ours.logits(IDS), expected, rtol=1e-4, atol=1e-4)
    ours.save(tmp_path / "b")
    again = kind.from_pretrained(tmp_path / "b").eval()  # type: ignore[attr-defined]  # of transformers
    with torch.no_grad():
        np.testing.assert_allclose(again(torch.tensor(IDS)).logits.numpy(), expected, rtol=1e-6)


def test_every_key_of_the_class_has_a_place() -> None:
    family = importlib.import_module(f"{PACKAGE}.family").SeedOss
    values = SeedOssConfig().to_dict()
    assert family.keys.unknown(HfConfig(values)) == []
    parameters = inspect.signature(SeedOssConfig).parameters
    read = {k: v for k, v in family.keys.read.items() if k in parameters}
    defaults = {k: values[k] for k in read if k != "rope_parameters"}
    assert {k: read[k] for k in defaults} == defaults
