"""What a tracker learns of a resumed run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lmkernel.training.run.metrics_log import MetricsLog
from lmkernel.training.trackers import RunInfo

if TYPE_CHECKING:
    from pathlib import Path


def test_measured_are_the_lines_up_to_the_step_in_their_order(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        for step in (1, 2, 3):
            log.append(step, {"train/loss": 1 / step})
        log.append(2, {"validation/loss": math.inf})
    run = RunInfo(name="resumed", folder=tmp_path, step=2)
    assert list(run.measured()) == [
        (1, {"train/loss": 1.0}),
        (2, {"train/loss": 0.5}),
        (2, {"validation/loss": math.inf}),
    ]


def test_a_new_run_has_measured_nothing(tmp_path: Path) -> None:
    assert list(RunInfo(name="new", folder=tmp_path).measured()) == []
