"""Folders in which no run begins or goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from run_folders import untouched
from training_files import pretraining, said

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


def test_a_new_run_does_not_begin_in_the_folder_of_another(
    text: Path, run: Path, capsys: Capture
) -> None:
    got = untouched(run, capsys, *pretraining(text, run))
    assert got == f"{run}: expected a new or empty folder; resume the run, or name another"


def test_two_runs_do_not_share_a_folder(text: Path, run: Path, capsys: Capture) -> None:
    expected = f"{run}: another process is running in this folder"
    with FileLock(run / ".lock"):
        for arguments in (pretraining(text, run), ["pretrain", "--resume", str(run)]):
            assert untouched(run, capsys, *arguments) == expected


def test_a_file_is_no_folder(text: Path, capsys: Capture) -> None:
    assert said(capsys, *pretraining(text, text)).startswith(f"{text}: expected a folder")


@pytest.mark.parametrize("made", [False, True])
def test_only_a_run_can_be_resumed(out: Path, capsys: Capture, *, made: bool) -> None:
    if made:
        out.mkdir()
    expected = f"{out}: expected a run to resume, got no run.toml"
    assert said(capsys, "pretrain", "--resume", out) == expected
    assert out.exists() == made


@pytest.mark.parametrize("flags", [("--config", "x.toml"), ("--out", "elsewhere")])
def test_a_resumed_run_has_its_own_settings_and_folder(
    run: Path, capsys: Capture, flags: tuple[str, ...]
) -> None:
    got = untouched(run, capsys, "pretrain", "--resume", run, *flags)
    assert got == "--resume: the folder says what runs; leave out --config and --out"


def test_a_resumed_run_has_its_own_model(run: Path, capsys: Capture) -> None:
    got = untouched(run, capsys, "finetune", run / "model", "--resume", run)
    assert got == "--resume: the folder says which model; leave out MODEL"
