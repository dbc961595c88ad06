"""What a checkpoint holds besides the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lmkernel.errors import CheckpointError
from lmkernel.training.run.state_files import SavedState, read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FACTS = {"step": 7, "seed": 3, "best": {"step": 5, "loss": 1.25}}
OPTIMIZER = {"m.a.weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 3, "v.a": np.ones(2)}
TRAINED = {"a.lora_a": np.full((1, 2), 0.1, np.float32)}


@pytest.mark.parametrize("trained", [{}, TRAINED])
@pytest.mark.parametrize("optimizer", [{}, OPTIMIZER])
def test_what_is_written_is_read(
    tmp_path: Path, optimizer: dict[str, np.ndarray], trained: dict[str, np.ndarray]
) -> None:
    write_state(tmp_path, SavedState(FACTS, optimizer, trained))
    got = read_state(tmp_path)
    assert (got.facts, got.step) == (FACTS, 7)
    for there, expected in ((got.optimizer, optimizer), (got.trained, trained)):
        assert there.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(there[name], value, strict=value.dtype == np.float32)


def test_files_are_there_only_for_what_there_is(tmp_path: Path) -> None:
    write_state(tmp_path, SavedState(FACTS, {}, TRAINED))
    names = {path.name for path in (tmp_path / "trainer").iterdir()}
    assert names == {"state.json", "trained.safetensors"}


def _cut(folder: Path) -> None:
    path = folder / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (
            lambda folder: (folder / "state.json").unlink(),
            r"state\.json: cannot be read",
        ),
        (lambda folder: (folder / "state.json").write_text("{"), r"state\.json: expected a JSON"),
        (
            lambda folder: (folder / "state.json").write_text(json.dumps({"step": "7"})),
            r"state\.json: expected a step, got '7'",
        ),
        (
            lambda folder: (folder / "state.json").write_text(json.dumps({"step": -1})),
            r"state\.json: expected a step, got -1",
        ),
        (
            lambda folder: (folder / "state.json").write_text(
                json.dumps({"step": 7, "best": {"step": 7, "loss": float("nan"), "worse": 0}})
            ),
            r"state\.json: best: expected step, loss and worse, got .*nan",
        ),
        (_cut, r"optimizer\.safetensors"),
    ],
)
def test_a_damaged_state_is_refused_by_its_file(
    tmp_path: Path, damage: Callable[[Path], None], complaint: str
) -> None:
    write_state(tmp_path, SavedState(FACTS, OPTIMIZER, {}))
    damage(tmp_path / "trainer")
    with pytest.raises(CheckpointError, match=complaint):
        read_state(tmp_path)


@pytest.mark.parametrize(("name", "refused"), [("step-000008", True), ("step-000007", False)])
def test_a_folder_of_another_step_is_refused(tmp_path: Path, name: str, refused: bool) -> None:
    """Its steps would be taken again, or left out."""
    (tmp_path / name).mkdir()
    write_state(tmp_path / name, SavedState(FACTS, OPTIMIZER, {}))
    if not refused:
        assert read_state(tmp_path / name).step == 7
        return
    with pytest.raises(CheckpointError, match=r"state\.json: step: expected 8, as the folder says"):
        read_state(tmp_path / name)
