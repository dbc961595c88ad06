"""The trackers, installed beside lmkernel: found by name, loaded when they are asked for."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lmkernel.errors import UnknownNameError
from lmkernel.plugins import TrackerSpec, default_registry
from lmkernel.training.trackers import Tracker

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["mlflow", "tensorboard", "wandb"]
LISTED = """
import sys
from lmkernel.plugins import TrackerSpec, default_registry
print(*sorted(default_registry().all(TrackerSpec)))
print(*sorted({"mlflow", "tensorboard", "wandb"} & set(sys.modules)))
"""


def test_all_are_listed_and_none_is_imported(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTED], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{' '.join(NAMES)}\n\n", "")


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_tracker(name: str) -> None:
    assert issubclass(default_registry().get(TrackerSpec, name).resolve(), Tracker)


def test_none_has_a_fault() -> None:
    assert [problem for problem in default_registry().problems if problem[0] in NAMES] == []


def test_misspelt_name_is_corrected() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown tracker 'tensorbord'.*'tensorboard'"):
        default_registry().get(TrackerSpec, "tensorbord")
