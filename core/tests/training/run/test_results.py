"""What a run leaves: checkpoints on the way, and a model at the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from letters import letters
from small import small_config, write_small
from training_files import rows, story

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model
from lmkernel.errors import NotFiniteError
from lmkernel.loading import open_language_model
from lmkernel.model import Model
from lmkernel.training.config import LoraConfig, ScheduleConfig
from lmkernel.training.run.folder import open_run
from lmkernel.training.run.recording import Best
from lmkernel.training.run.results import save_checkpoint, write_result
from lmkernel.training.run.session import prepare_session
from lmkernel.training.run.settings import DataSettings, ModelSettings, RunSettings, StepSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmkernel.training.run.folder import RunFolder
    from lmkernel.training.run.session import Session

TAUGHT = [{"prompt": "hi", "completion": "yo" * (n % 3 + 1)} for n in range(12)]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with open_run(tmp_path / "run") as opened:
        yield opened


def new_model(tmp_path: Path, keep: int = 2) -> Session:
    """A session of a new model."""
    settings = RunSettings(
        model=ModelSettings(width=16, layers=1, heads=2, context=16, vocab=280),
        data=DataSettings(train=str(story(tmp_path / "story.txt", 60))),
        training=StepSettings(steps=8, batch=2, keep=keep),
    )
    return prepare_session(settings)


def adapters(tmp_path: Path, **changes: Any) -> Session:
    """A session of adapters over the small Llama."""
    write_small(tmp_path / "base", Model(load_backend("numpy"), small_config()), letters())
    settings = RunSettings(
        objective="instruction",
        model=ModelSettings(start=str(tmp_path / "base")),
        data=DataSettings(train=str(rows(tmp_path / "a.jsonl", TAUGHT))),
        training=StepSettings(steps=8, batch=2, clip=0),
        schedule=ScheduleConfig(kind="constant", rate=0.05),
        lora=LoraConfig(rank=2),
        **changes,
    )
    return prepare_session(settings)


def saved(session: Session, folder: RunFolder, *steps: int, best: int | None = None) -> Best:
    """Checkpoints after these steps, one of which may be the best so far."""
    state, told = session.begin(), Best({})
    for step in steps:
        state = session.trainer.fit(state, session.data.training, until=step)
        if step == best:
            told.judge(step, 1.0)
        save_checkpoint(session, folder, state, told)
    return told


def kept(folder: RunFolder) -> list[str]:
    return sorted(path.name for path in folder.checkpoints.iterdir())


# checkpoints


@pytest.mark.parametrize(
    ("keep", "best", "expected"),
    [
        (1, None, [5]),
        (2, None, [4, 5]),
        (9, None, [1, 2, 3, 4, 5]),
        (1, 2, [2, 5]),
        (2, 4, [4, 5]),
        (2, 1, [1, 4, 5]),
    ],
)
def test_the_last_and_the_best_are_kept(
    tmp_path: Path, folder: RunFolder, keep: int, best: int | None, expected: list[int]
) -> None:
    saved(new_model(tmp_path, keep), folder, 1, 2, 3, 4, 5, best=best)
    assert kept(folder) == [f"step-{step:06d}" for step in expected]


def test_a_checkpoint_says_where_the_run_stood(tmp_path: Path, folder: RunFolder) -> None:
    session = new_model(tmp_path)
    saved(session, folder, 2, 3, best=2)
    facts = json.loads((folder.checkpoint(3) / "trainer" / "state.json").read_text())
    assert facts == {
        "step": 3,
        "data": session.data.training.digest,
        "seed": 0,
        "backend": "numpy",
        "best": {"step": 2, "loss": 1.0, "worse": 0},
    }


def test_a_checkpoint_is_a_model_that_opens(tmp_path: Path, folder: RunFolder) -> None:
    session = new_model(tmp_path)
    saved(session, folder, 2)
    loaded = open_language_model(folder.checkpoint(2), load_backend("numpy"))
    assert "".join(loaded.generate("The river"))


def test_writing_a_step_again_replaces_it(tmp_path: Path, folder: RunFolder) -> None:
    session = new_model(tmp_path)
    saved(session, folder, 2)
    before = (folder.checkpoint(2) / "model.safetensors").read_bytes()
    saved(session, folder, 2)
    assert (folder.checkpoint(2) / "model.safetensors").read_bytes() == before
    assert kept(folder) == ["step-000002"]


# the result


def weights(path: Path, name: str) -> np.ndarray:
    return open_model(path).tensors.read(name)


@pytest.mark.parametrize(("best", "expected"), [(None, 3), (2, 2)])
def test_the_result_is_the_best_or_the_last(
    tmp_path: Path, folder: RunFolder, best: int | None, expected: int
) -> None:
    session = new_model(tmp_path)
    model = write_result(session, folder, saved(session, folder, 2, 3, best=best))
    assert model == folder.path / "model"
    there = {path.name: path.read_bytes() for path in model.iterdir()}
    checkpoint = folder.checkpoint(expected)
    assert there == {p.name: p.read_bytes() for p in checkpoint.iterdir() if p.is_file()}


def test_adapters_are_the_result_unless_merging_is_asked_for(
    tmp_path: Path, folder: RunFolder
) -> None:
    session = adapters(tmp_path)
    model = write_result(session, folder, saved(session, folder, 2))
    assert {path.name for path in model.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    config = json.loads((model / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "base")
    assert config["task_type"] == "CAUSAL_LM"


def test_merged_adapters_are_a_model_of_their_own(tmp_path: Path, folder: RunFolder) -> None:
    session = adapters(tmp_path, merge=True)
    best = saved(session, folder, 2)
    model = write_result(session, folder, best)
    (tmp_path / "base" / "model.safetensors").rename(tmp_path / "gone")
    assert not (model / "adapter_config.json").exists()
    name = "model.layers.1.mlp.up_proj.weight"
    state, _ = session.resume(folder.checkpoint(2))
    expected = session.trainer.weights(state)["decoder.layers.1.mlp.up.weight"]
    np.testing.assert_allclose(weights(model, name), expected, rtol=1e-6, atol=1e-7)
    start = session.weights["decoder.layers.1.mlp.up.weight"]
    assert np.abs(expected - start).max() > 1e-3
    assert open_model(model).tokenizer().encode("ab") == letters().encode("ab")


def test_what_is_not_finite_is_not_written(tmp_path: Path, folder: RunFolder) -> None:
    session = adapters(tmp_path)
    state = session.begin()
    for array in state.trainable.values():
        array[...] = np.nan
    with pytest.raises(NotFiniteError, match=r"^step 0: .*: expected finite values, got NaN"):
        save_checkpoint(session, folder, state, Best({}))
    assert folder.latest() is None
