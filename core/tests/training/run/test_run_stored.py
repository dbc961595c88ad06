"""Which checkpoints there are, and which stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lmkernel.checkpoints.atomic import new_directory
from lmkernel.training.run.stored import latest, prune, step_folder, steps, sweep

if TYPE_CHECKING:
    from pathlib import Path


def fill(folder: Path, *numbers: int) -> None:
    for number in numbers:
        with new_directory(step_folder(folder, number)) as part:
            (part / "weights").write_text(str(number))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_latest_is_the_highest_step_not_the_last_name(tmp_path: Path) -> None:
    fill(tmp_path, 999_999, 1_000_000, 20)
    assert steps(tmp_path) == [20, 999_999, 1_000_000]
    assert latest(tmp_path) == tmp_path / "step-1000000"


def test_nothing_else_is_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "step-000300").write_text("a file")
    for name in ("step-12", "step-000200x", ".step-000200.0123456789ab.part"):
        (tmp_path / name).mkdir()
    assert steps(tmp_path) == []
    assert latest(tmp_path) is None
    assert latest(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("keep", "best", "left"),
    [(2, None, [40, 50]), (1, 20, [20, 50]), (2, 50, [40, 50]), (9, None, [10, 20, 30, 40, 50])],
)
def test_last_ones_and_the_best_stay(
    tmp_path: Path, keep: int, best: int | None, left: list[int]
) -> None:
    fill(tmp_path, 10, 20, 30, 40, 50)
    prune(tmp_path, keep, best)
    assert steps(tmp_path) == left
    assert len(names(tmp_path)) == len(left)


def test_the_last_one_stays_whatever_is_asked(tmp_path: Path) -> None:
    fill(tmp_path, 10, 20)
    prune(tmp_path, 0)
    assert steps(tmp_path) == [20]


def test_half_deleted_checkpoint_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, 10, 20)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # killed before it deleted
    prune(tmp_path, 1)
    assert steps(tmp_path) == [20]
    monkeypatch.undo()
    sweep(tmp_path)
    assert names(tmp_path) == ["step-000020"]


def test_leftovers_are_cleared_and_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    (tmp_path / ".step-000020.0123456789ab.part").mkdir()
    (tmp_path / ".step-000020.0123456789ab.part" / "weights").touch()
    (tmp_path / ".run.toml.0123456789ab.part").touch()
    (tmp_path / ".step-000010.0123456789ab.old").mkdir()
    for name in (".hidden", "some.part", ".lock"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert names(tmp_path) == [".hidden", ".lock", "some.part", "step-000010"]


def test_checkpoint_that_was_being_replaced_comes_back(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    (tmp_path / "step-000010").rename(tmp_path / ".step-000010.0123456789ab.old")
    sweep(tmp_path)
    assert (tmp_path / "step-000010" / "weights").read_text() == "10"
