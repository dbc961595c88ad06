"""What Hugging Face datasets saved becomes rows; needs datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import datasets
import pytest

from lmkernel.errors import InputError
from lmkernel.training.data.readers import open_rows

if TYPE_CHECKING:
    from pathlib import Path


def saved(folder: Path, *, splits: bool) -> Path:
    datasets.disable_progress_bars()
    made = {
        name: datasets.Dataset.from_dict({"text": [f"{name} {n}" for n in range(3)]})
        for name in ("train", "test")
    }
    (datasets.DatasetDict(made) if splits else made["train"]).save_to_disk(folder)
    return folder


def test_saved_dataset(tmp_path: Path) -> None:
    folder = saved(tmp_path / "one", splits=False)
    rows = list(open_rows(folder))
    assert [row.text("text") for row in rows] == ["train 0", "train 1", "train 2"]
    assert rows[1].where == f"datasets:{folder}: row 2"
    with pytest.raises(InputError, match="expected no split, got 'test'"):
        list(open_rows(f"datasets:{folder}@test"))


def test_saved_splits(tmp_path: Path) -> None:
    folder = saved(tmp_path / "two", splits=True)
    assert next(iter(open_rows(folder))).text("text") == "train 0"
    assert next(iter(open_rows(f"datasets:{folder}@test"))).text("text") == "test 0"
    with pytest.raises(InputError, match="expected one of the splits train, test, got 'dev'"):
        list(open_rows(f"datasets:{folder}@dev"))


def test_unknown_dataset_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^datasets:nobody/nothing: "):
        list(open_rows("datasets:nobody/nothing"))
