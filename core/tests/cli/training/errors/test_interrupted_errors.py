"""What goes wrong on the way: in one line that names it, and with nothing lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from training_files import contents, done, pretraining, said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Capture = pytest.CaptureFixture[str]


def test_a_loss_that_is_no_number_stops_and_names_the_last_good_checkpoint(
    text: Path, out: Path, capsys: Capture
) -> None:
    more = ("--rate", "1e30", "--set", "training.clip=0", "--set", "training.checkpoint_every=1")
    got = said(capsys, *pretraining(text, out, *more, "--set", "schedule.warmup=0"))
    assert got.startswith("step 2, batch 1: expected a finite loss and gradient, got a loss of nan")
    kept = out / "checkpoints" / "step-000001"
    assert f"; the last checkpoint is {kept}; try a lower rate" in got
    assert [path.name for path in kept.parent.iterdir()] == ["step-000001"]
    assert said(capsys, "pretrain", "--resume", out, "--quiet") == got


def test_a_loss_that_is_no_number_before_any_checkpoint_says_so(
    text: Path, out: Path, capsys: Capture
) -> None:
    more = ("--rate", "1e30", "--set", "training.clip=0", "--set", "schedule.warmup=0")
    got = said(capsys, *pretraining(text, out, *more))
    assert "; no checkpoint was written yet; try a lower rate" in got
    done("pretrain", "--resume", out, "--rate", "0.001", "--quiet")


@contextmanager
def no_room_for(*parts: str) -> Iterator[None]:
    """A disk that is full when it comes to the file whose path has these parts."""

    def refuse(handle: int, fsync: Callable[[int], None] = os.fsync) -> None:
        path = str(Path(f"/proc/self/fd/{handle}").readlink())
        if all(part in path for part in parts):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        yield


@pytest.mark.parametrize(
    "file", ["model.safetensors", "config.json", "optimizer.safetensors", "state.json"]
)
def test_a_full_disk_leaves_the_checkpoint_before_and_the_run_goes_on_from_it(
    text: Path, out: Path, capsys: Capture, file: str
) -> None:
    with no_room_for("step-000004", file):
        got = said(capsys, *pretraining(text, out))
    kept = out / "checkpoints" / "step-000002"
    assert got == (
        f"{out / 'checkpoints' / 'step-000004'}: cannot be written: No space left on device; "
        f"the last checkpoint is {kept}"
    )
    assert [path.name for path in kept.parent.iterdir()] == ["step-000002"]
    done("pretrain", "--resume", out, "--quiet")
    done(*pretraining(text, out.parent / "calm"))
    assert contents(out / "model") == contents(out.parent / "calm" / "model")


def test_a_disk_that_is_full_at_the_model_keeps_the_last_checkpoint(
    text: Path, out: Path, capsys: Capture
) -> None:
    with no_room_for(str(out / ".model")):
        got = said(capsys, *pretraining(text, out))
    assert got == (
        f"{out / 'model'}: cannot be written: No space left on device; the last checkpoint is "
        f"{out / 'checkpoints' / 'step-000004'}"
    )
    assert not (out / "model").exists()
    done("pretrain", "--resume", out, "--quiet")
    assert (out / "model" / "model.safetensors").exists()


def test_a_run_does_without_its_picture(text: Path, out: Path) -> None:
    with no_room_for("loss.png"):
        done(*pretraining(text, out))
    assert not (out / "loss.png").exists()


def test_a_disk_that_is_full_at_the_settings_begins_no_run(
    text: Path, out: Path, capsys: Capture
) -> None:
    with no_room_for("run.toml"):
        got = said(capsys, *pretraining(text, out))
    assert got == f"{out / 'run.toml'}: cannot be written: No space left on device"
    assert not out.exists()


SMALL = """
import resource, sys
from lmkernel.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(main(sys.argv[2:]))
"""


def test_a_file_that_may_not_grow_is_an_error_like_any_other(text: Path, out: Path) -> None:
    """The system refuses the write itself, in the midst of the optimizer's state."""
    command = [sys.executable, "-c", SMALL, "190000", *pretraining(text, out)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 1, ended
    assert ended.stderr == (
        f"lmkernel: error: {out / 'checkpoints' / 'step-000002'}: cannot be written: "
        "File too large; no checkpoint was written yet\n"
    )
    assert list((out / "checkpoints").iterdir()) == []
    done("pretrain", "--resume", out, "--quiet")


def test_a_folder_that_cannot_be_made_is_named(text: Path, capsys: Capture) -> None:
    got = said(capsys, *pretraining(text, text / "run"))
    assert got.startswith(f"{text / 'run'}: ")


def test_an_interrupt_before_the_first_step_leaves_nothing(
    text: Path, out: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmkernel.cli.main import main
    from lmkernel.training.run import session

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "model_of", interrupt)
    assert main(pretraining(text, out)) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"
    assert not out.exists()
