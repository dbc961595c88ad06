"""Checkpoints of something else, from which no run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from run_folders import untouched

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("width = 16", "width = 32", "tensor 'transformer.wte.weight': the configuration ex"),
        ("layers = 1", "layers = 2", "the tensor 'transformer.h.1.ln_1.weight' is missing"),
        ('family = "gpt2"', 'family = "llama"', "the tensor 'model.embed_tokens.weight' is miss"),
        ('kind = "adamw"', 'kind = "lion"', "the optimizer's state: expected the names that"),
        ('kind = "adamw"', 'kind = "adafactor"', "the optimizer's state: expected the names that"),
        ("seed = 0", "seed = 1", "expected the data that the run began with, got others"),
        ("batch = 2", "batch = 3", "expected the data that the run began with, got others"),
    ],
)
def test_a_run_whose_settings_were_edited_does_not_go_on(
    run: Path, capsys: Capture, old: str, new: str, complaint: str
) -> None:
    settings = run / "run.toml"
    settings.write_text(settings.read_text().replace(old, new).replace("steps = 4", "steps = 6"))
    got = untouched(run, capsys, "pretrain", "--resume", run, "--quiet")
    assert got.startswith(f"{run / 'checkpoints' / 'step-000004'}: {complaint}")


def test_a_run_whose_data_changed_does_not_go_on(text: Path, run: Path, capsys: Capture) -> None:
    text.write_text(text.read_text() + "The end.\n")
    got = untouched(run, capsys, "pretrain", "--resume", run, "--steps", "6", "--quiet")
    assert "step-000004: expected the data that the run began with, got others" in got


def test_a_damaged_checkpoint_is_named(run: Path, capsys: Capture) -> None:
    file = run / "checkpoints" / "step-000004" / "trainer" / "optimizer.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    got = untouched(run, capsys, "pretrain", "--resume", run, "--steps", "6", "--quiet")
    assert got.startswith(f"{file}: ")
