"""``metrics.jsonl`` is valid JSON line by line, whenever the process dies."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lmkernel.errors import RunError
from lmkernel.training.run.metrics_log import MetricsLog, read_metrics

if TYPE_CHECKING:
    from pathlib import Path

DIES = """
import sys, os, signal, pathlib
from lmkernel.training.run.metrics_log import MetricsLog
log = MetricsLog(pathlib.Path(sys.argv[1]))
for step in range(1, 6):
    log.append(step, {"train/loss": step / 2})
with open(sys.argv[1], "ab", buffering=0) as half:
    half.write(b'{"step": 6, "train/lo')
os.kill(os.getpid(), signal.SIGKILL)
"""


def strict(path: Path) -> list[object]:
    """Every line, by a reader that takes no NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def test_line_is_there_at_once(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "m.jsonl") as log:
        log.append(1, {"train/loss": 2.5, "train/tokens": 64})
        assert strict(tmp_path / "m.jsonl") == [{"step": 1, "train/loss": 2.5, "train/tokens": 64}]


def test_what_is_not_finite_is_valid_json_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with MetricsLog(path) as log:
        log.append(1, {"a": math.nan, "b": math.inf, "c": -math.inf})
    assert strict(path) == [{"step": 1, "a": "NaN", "b": "Infinity", "c": "-Infinity"}]
    (values,) = read_metrics(path)
    assert math.isnan(values["a"])
    assert (values["b"], values["c"]) == (math.inf, -math.inf)


def test_numbers_of_numpy_are_plain(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with MetricsLog(path) as log:
        log.append(1, {"a": np.float32(0.5), "b": np.float64(0.25)})  # type: ignore[dict-item]  # a number all the same
    assert strict(path) == [{"step": 1, "a": 0.5, "b": 0.25}]


def test_resumed_run_drops_later_lines(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with MetricsLog(path) as log:
        for step in (1, 2, 2, 3, 4):
            log.append(step, {"a": float(step)})
    with MetricsLog(path, step=2) as log:
        log.append(3, {"a": 30.0})
    assert [(v["step"], v["a"]) for v in read_metrics(path)] == [(1, 1), (2, 2), (2, 2), (3, 30)]


def test_resumed_line_is_the_same_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with MetricsLog(path) as log:
        log.append(1, {"a": 0.1 + 0.2, "b": math.nan, "c": 7})
    before = path.read_bytes()
    MetricsLog(path, step=1).close()
    assert path.read_bytes() == before


def test_killed_process_leaves_its_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    died = subprocess.run([sys.executable, "-c", DIES, path], check=False)
    assert died.returncode == -signal.SIGKILL
    assert [values["step"] for values in read_metrics(path)] == [1, 2, 3, 4, 5]
    with MetricsLog(path, step=5) as log:
        log.append(6, {"train/loss": 3.0})
    assert strict(path)[-2:] == [{"step": 5, "train/loss": 2.5}, {"step": 6, "train/loss": 3.0}]


@pytest.mark.parametrize("line", [b"", b"\x00\x00", b"[1]", b'"x"', b'{"loss": 1'])
def test_line_that_is_not_whole_is_left_out(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 2}\n')
    assert [values["step"] for values in read_metrics(path)] == [1, 2]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"loss": 1}', "line 2: step: expected a whole number, got None"),
        (b'{"step": "x"}', "line 2: step: expected a number, got 'x'"),
        (b'{"step": true}', "line 2: step: expected a number, got True"),
        (b'{"step": 1, "train/loss": [1]}', r"line 2: train/loss: expected a number, got \[1\]"),
    ],
)
def test_whole_line_that_is_no_record_is_named(tmp_path: Path, line: bytes, complaint: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 2}\n')
    with pytest.raises(RunError, match=rf"m\.jsonl: {complaint}"):
        list(read_metrics(path))


def test_missing_file_has_no_lines(tmp_path: Path) -> None:
    assert list(read_metrics(tmp_path / "m.jsonl")) == []


@pytest.mark.parametrize("place", ["missing/m.jsonl", "file/m.jsonl"])
def test_file_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"m\.jsonl: cannot be written: No"):
        MetricsLog(tmp_path / place)
