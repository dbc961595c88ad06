"""``finetune`` on tiny models: adapters, their rate, and classes by their names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from run_folders import settings_in
from training_files import done, pretraining, rows

from lmkernel.checkpoints.directory import open_model

if TYPE_CHECKING:
    from pathlib import Path

TAUGHT = [{"prompt": f"Name {n}", "completion": "stone" * (n % 2 + 1)} for n in range(12)]
LABELLED = [{"text": ("a river", "a stone")[n % 2], "label": "ws"[n % 2]} for n in range(16)]


def test_instructions_are_learnt_by_adapters_and_merged_on_request(
    tmp_path: Path, run: Path
) -> None:
    data, place = rows(tmp_path / "a.jsonl", TAUGHT), tmp_path / "tuned"
    more = ("--lora", "2", "--steps", "4", "--batch", "2", "--quiet", "--rate", "0.05")
    template = {"chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}"}
    tokenizer = run / "model" / "tokenizer_config.json"
    tokenizer.write_text(json.dumps({**json.loads(tokenizer.read_text()), **template}))
    place_of_data = ("--data", str(data), "--set", "data.truncate=true")
    done("finetune", run / "model", "--out", place, *place_of_data, *more)
    assert (place / "model" / "adapter_config.json").exists()
    adapted = open_model(place / "model").tensors
    done("finetune", "--resume", place, "--merge", "--quiet")
    assert not (place / "model" / "adapter_config.json").exists()
    merged = open_model(place / "model").tensors
    for name in merged.names():
        expected = adapted.read(name)
        np.testing.assert_allclose(merged.read(name), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("said", "flags", "rate"),
    [("", (), 2e-5), ("", ("--lora", "2"), 2e-4), ("[lora]\nrank = 2", (), 2e-4)],
)
def test_adapters_have_a_higher_rate_by_default(
    tmp_path: Path, run: Path, said: str, flags: tuple[str, ...], rate: float
) -> None:
    file = tmp_path / "s.toml"
    file.write_text(said)
    base = ("finetune", run / "model", "--objective", "causal", "--data", tmp_path / "story.txt")
    more = ("--steps", "1", "--quiet", "--config", file, "--out", tmp_path / "t")
    done(*base, *more, *flags)
    assert settings_in(tmp_path / "t")["schedule"]["rate"] == rate


@pytest.fixture
def encoder(tmp_path: Path, text: Path) -> Path:
    more = ("--family", "bert", "--objective", "masked")
    done(*pretraining(text, tmp_path / "bert", *more))
    return tmp_path / "bert" / "model"


def test_classes_are_learnt_and_evaluated_by_their_names(
    tmp_path: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = rows(tmp_path / "a.jsonl", LABELLED)
    base = ("finetune", encoder, "--objective", "classification", "--data", data, "--quiet")
    more = ("--steps", "40", "--batch", "4", "--rate", "0.01", "--out", tmp_path / "t")
    done(*base, *more)
    config = open_model(tmp_path / "t" / "model").config
    assert config["id2label"] == {"0": "s", "1": "w"}
    capsys.readouterr()
    place = tmp_path / "t" / "model"
    done("evaluate", place, "--objective", "classification", "--data", data, "--json")
    got = json.loads(capsys.readouterr().out)
    assert (got["accuracy"], got["f1"], got["targets"]) == (1.0, 1.0, 16.0)
