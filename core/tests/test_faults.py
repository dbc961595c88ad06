"""Whatever stops a writer, at whichever step, what was there is whole, or what comes is."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from faults import Fault, Writer, check_sizes, check_writer
from letters import letters
from made_sources import registry

from lmkernel.atomic import hold, new_directory, sweep, write_whole
from lmkernel.checkpoints.directory import open_model, write_directory
from lmkernel.errors import CheckpointError, RunError
from lmkernel.progress import Progress
from lmkernel.scaffolds import Names, write_scaffold
from lmkernel.sources import pull
from lmkernel.training.data.shard_writer import write_shards
from lmkernel.training.data.shards import open_shards
from lmkernel.training.run.folder import RunFolder, open_run
from lmkernel.training.run.metrics_log import read_metrics
from lmkernel.training.run.state_files import SavedState, read_state, write_state

if TYPE_CHECKING:
    from pathlib import Path

FAULTS: tuple[Fault, ...] = ("kill", "full disk", "broken disk")
STEPS = int(os.environ.get("LMKERNEL_FAULTS", "9"))
"""Steps of each writer that are tried; 1000 are all."""


def number_in(path: Path) -> int | None:
    return int(path.read_text()) if path.exists() else None


def write_folder(folder: Path, version: int) -> None:
    with new_directory(folder / "m", overwrite=True) as made:
        (made / "inner").mkdir()
        for name in ("version", "inner/version"):
            (made / name).write_text(str(version))


def read_folder(folder: Path) -> int | None:
    first, second = (number_in(folder / "m" / n) for n in ("version", "inner/version"))
    assert first == second
    return first


def save(folder: Path, version: int) -> None:
    write_directory(
        folder / "m",
        config={"model_type": "made", "version": version},
        tensors=((n, np.full(3, version, np.float32)) for n in ("a", "b")),
        shard_bytes=12,
        tokenizer=letters(),
        overwrite=True,
    )


def read_saved(folder: Path) -> int:
    files = open_model(folder / "m")
    version: int = files.config["version"]
    assert all((files.tensors.read(name) == version).all() for name in ("a", "b"))
    assert files.tokenizer().encode("ab")
    return version


def checkpoint(folder: Path, version: int) -> None:
    """What a run does at a checkpoint: settings, session, numbers, the checkpoint, the pruning."""
    begun = (folder / "run" / "run.toml").exists()
    with open_run(folder / "run", resume=begun) as run:
        run.write_settings(f"version = {version}\n", version)
        run.add_session({"python": "3"}, version)
        with run.open_metrics(version - 1) as log:
            log.append(version, {"train/loss": 1.0})
        with new_directory(run.checkpoint(version), overwrite=True) as made:
            values = {"weight": np.full(3, version, np.float32)}
            write_state(made, SavedState({"step": version, "best": {}}, values, values))
        run.prune(1)


def read_run(folder: Path) -> int | None:
    """The last checkpoint; all beside it is whole too."""
    run = RunFolder(folder / "run")
    latest = run.latest()
    assert latest is not None
    state = read_state(latest)
    assert (state.optimizer["weight"] == state.step).all()
    assert json.loads(run.environment.read_text())["sessions"]
    assert all(row["train/loss"] == 1.0 for row in read_metrics(run.metrics))
    return state.step


def shards(folder: Path, version: int) -> None:
    write_shards(
        folder / "tokens",
        ["a" * version, "b"],
        letters(),
        ends=[2],
        digest=str(version),
        size=version + 1,
        progress=Progress(),
        shard_tokens=1,
    )


def read_shards(folder: Path) -> int:
    found = open_shards(folder / "tokens")
    assert found.lengths[0] - 1 == int(found.digest)
    return int(found.digest)


def fetch(folder: Path, version: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LMKERNEL_HOME", str(folder))
        pull("tiny", registry=registry(f"version_{version}", "tiny"), force=True)


def read_fetched(folder: Path) -> int:
    files = open_model(folder / "models" / "tiny")
    version: int = files.config["count"]
    assert files.tensors.read("weight")[1] == version
    return version


def begin_plugin(folder: Path, version: int) -> None:
    with new_directory(folder / "new", overwrite=True) as made:
        write_scaffold("backends", Names(f"toy{version}"), made)


def read_plugin(folder: Path) -> int:
    (package,) = (path for path in (folder / "new").iterdir() if path.name.startswith("lmkernel_"))
    assert (folder / "new" / "pyproject.toml").read_text().count(package.name)
    return int(package.name.removeprefix("lmkernel_toy"))


WRITERS: dict[str, Writer] = {
    "a file": Writer(
        lambda f, n: write_whole(f / "file", str(n).encode()), lambda f: number_in(f / "file")
    ),
    "a folder": Writer(write_folder, read_folder),
    "save": Writer(save, read_saved),
    "a checkpoint": Writer(checkpoint, read_run),
    "shards": Writer(shards, read_shards),
    "pull": Writer(fetch, read_fetched),
    "new": Writer(begin_plugin, read_plugin),
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # a forked process has no others
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no power is cut here


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["a file", "a folder"])
def test_m3_fault_at_every_step(tmp_path: Path, name: str, fault: Fault) -> None:
    assert check_writer(WRITERS[name], tmp_path, fault, 1000) > 4


@pytest.mark.parametrize("fault", FAULTS[:2])
@pytest.mark.parametrize("name", list(WRITERS)[2:])
def test_m3_fault_at_a_step_of_whatever_writes(tmp_path: Path, name: str, fault: Fault) -> None:
    assert check_writer(WRITERS[name], tmp_path, fault, STEPS) > 10


@pytest.mark.parametrize("fault", FAULTS)
def test_m2_without_an_exchange_a_kill_is_mended_by_the_next_that_writes_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr("lmkernel.atomic.write.exchange", lambda *_: False)
    assert check_writer(Writer(write_folder, read_folder, sweep), tmp_path, fault, STEPS) > 4


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("a file", [0]), ("save", [0, 100, 131_080]), ("a checkpoint", [0, 100]), ("shards", [0, 3])],
)
def test_disk_that_fills_within_a_file(tmp_path: Path, name: str, sizes: list[int]) -> None:
    check_sizes(WRITERS[name], tmp_path, sizes)


def refuse(*_: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("error", [CheckpointError, RunError])
def test_low_full_disk_at_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[CheckpointError]
) -> None:
    monkeypatch.setattr("filelock.FileLock.acquire", lambda *_, **__: refuse())

    def take() -> None:
        with hold(tmp_path / ".lock", error):
            pass

    with pytest.raises(error, match=f"{tmp_path}: cannot be written: No space left on device"):
        take()
