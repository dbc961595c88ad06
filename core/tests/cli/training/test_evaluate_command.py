"""``evaluate`` on tiny models: a line for each metric, or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from training_files import done

if TYPE_CHECKING:
    from pathlib import Path


def test_evaluation_is_a_line_for_each_metric(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    done("evaluate", run / "model", "--data", tmp_path / "story.txt")
    lines = capsys.readouterr().out.splitlines()
    names = [line.rsplit(maxsplit=1)[0] for line in lines]
    assert names == ["loss", "targets", "perplexity", "accuracy", "bits per byte"]


def test_evaluation_is_of_all_data_and_the_same_by_flags_or_file(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, file = tmp_path / "story.txt", tmp_path / "s.toml"
    file.write_text(f"[model]\nstart = '{run / 'model'}'\n[data]\ntrain = '{data}'\ncontext = 8\n")
    results = []
    for arguments in (
        ("evaluate", run / "model", "--data", data, "--context", "8", "--batch", "3", "--json"),
        ("evaluate", "--config", file, "--json"),
    ):
        capsys.readouterr()
        done(*arguments)
        results.append(json.loads(capsys.readouterr().out))
    one, other = results
    assert (one["model"], one["data"]) == (str(run / "model"), str(data))
    assert one["targets"] == other["targets"] > 500
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
    assert one["bits_per_byte"] == pytest.approx(
        one["loss"] * one["targets"] / (np.log(2) * data.stat().st_size), rel=1e-3
    )
