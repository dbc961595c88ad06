"""The tracker that docs/trackers.md shows, as it stands there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from lmkernel.plugins import Registry
from lmkernel.training.run.metrics_log import MetricsLog
from lmkernel.training.run.trackers import open_trackers
from lmkernel.training.trackers import RunInfo

PAGE = Path(__file__).parents[2] / "docs" / "trackers.md"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """One that knows the plugin, whose files are the page's two blocks of Python."""
    package = tmp_path / "path" / "lmkernel_csv"
    package.mkdir(parents=True)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    for name, text in zip(("tracker", "plugin"), blocks, strict=True):
        (package / f"{name}.py").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(package.parent)
    return Registry({"csv": importlib.import_module("lmkernel_csv.plugin")})


def test_it_has_each_step_once_after_a_kill(registry: Registry, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with registry.use():
        killed = open_trackers(["csv"], RunInfo(name="run", folder=run))
    with MetricsLog(run / "metrics.jsonl") as log:
        for step in (1, 2, 3):
            killed.log(step, {"train/loss": 1 / step})
            log.append(step, {"train/loss": 1 / step})
    again = RunInfo(name="run", folder=run, step=2)
    with registry.use(), open_trackers(["csv"], again) as trackers:
        trackers.log(3, {"train/loss": 0.3, "train/rate": 0.1})
    killed.close("failed")
    assert (run / "csv" / "numbers.csv").read_text().split() == [
        "1,train/loss,1.0",
        "2,train/loss,0.5",
        "3,train/loss,0.3",
        "3,train/rate,0.1",
    ]
