"""``pretrain`` on tiny models: what it writes and says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from run_folders import logged, settings_in
from training_files import contents, done, pretraining

from lmkernel.checkpoints.directory import open_model

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_says_how_it_ended_and_shows_a_sample(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done(*pretraining(text, tmp_path / "run"))
    out, err = capsys.readouterr()
    first, second, rest = out.split("\n", 2)
    assert first.startswith("finished after step 4: loss 5.")
    assert "perplexity" in first
    assert "bits per byte" in first
    assert second == f"model: {tmp_path / 'run' / 'model'}"
    assert rest.startswith("sample: The")
    assert err == ""


def test_a_run_leaves_settings_numbers_a_curve_checkpoints_and_a_model(run: Path) -> None:
    assert settings_in(run)["training"]["checkpoint_every"] == 2
    assert [line["step"] for line in logged(run)] == [1, 2, 3, 4, 4]
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"step-000002", "step-000004"}
    assert open_model(run / "model").config["n_embd"] == 16
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("world", [{}, {"RANK": "0", "WORLD_SIZE": "1"}])
def test_a_single_process_is_this_one(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: dict[str, str]
) -> None:
    def started(command: list[str], count: int) -> int:
        raise AssertionError(f"{count} of {command}")

    monkeypatch.setattr("lmkernel.distribution.launch.launch", started)
    for name, value in world.items():
        monkeypatch.setenv(name, value)
    data = tmp_path / "story.txt"
    done(*pretraining(data, tmp_path / "alone", "--processes", "1"))
    assert contents(tmp_path / "alone" / "model") == contents(run / "model")
    more = ("--objective", "causal", "--steps", "1", "--batch", "2", "--processes", "1")
    done("finetune", run / "model", "--data", data, "--out", tmp_path / "tuned", *more)


def test_progress_is_shown_on_standard_error(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [a for a in pretraining(text, tmp_path / "run") if a != "--quiet"]
    done(*arguments)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "learning a vocabulary of 280 tokens"
    assert any(line.startswith("step 4/4: validation loss") for line in lines)


def test_settings_come_from_defaults_below_a_file_below_flags(tmp_path: Path, text: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("[training]\nsteps = 3\nbatch = 3\n[model]\nwidth = 8\nheads = 1\n")
    done(*pretraining(text, tmp_path / "run", "--config", str(file)))
    got = settings_in(tmp_path / "run")
    assert (got["training"]["steps"], got["training"]["batch"]) == (4, 2)  # flags
    assert got["optimizer"]["kind"] == "adamw"
    done("pretrain", "--config", file, "--data", text, "--out", tmp_path / "b", "--quiet")
    got = settings_in(tmp_path / "b")
    assert (got["training"]["steps"], got["model"]["width"], got["model"]["layers"]) == (3, 8, 4)


def test_the_settings_of_a_run_begin_the_same_run(tmp_path: Path, run: Path) -> None:
    done("pretrain", "--config", run / "run.toml", "--out", tmp_path / "again", "--quiet")
    assert contents(tmp_path / "again" / "model") == contents(run / "model")


def test_a_name_with_quotes_and_backslashes_is_taken_as_it_is(tmp_path: Path, run: Path) -> None:
    odd = tmp_path / 'it\'s\\odd "too"'
    (run / "model").rename(odd)
    data = tmp_path / "story.txt"
    done("pretrain", "--start", odd, "--data", data, "--out", tmp_path / "b", "--steps", 1)
    assert settings_in(tmp_path / "b")["model"]["start"] == str(odd)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_other_families_are_trained_from_nothing(tmp_path: Path, text: Path, family: str) -> None:
    objective = "masked" if family == "bert" else "causal"
    more = ("--family", family, "--objective", objective, "--context", "24")
    done(*pretraining(text, tmp_path / "run", *more))
    assert open_model(tmp_path / "run" / "model").config["model_type"] == family
