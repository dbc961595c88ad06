"""What the scripts of this folder share: running the command and reading a run's folder.

Constraint: a script runs what a user would run, `lmkernel` in a process of its own, and reads the
files that it leaves.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmkernel.settings.file import read_settings
from lmkernel.training.run.folder import SETTINGS
from lmkernel.training.run.metrics_log import read_metrics
from lmkernel.training.run.session import prepare_session
from lmkernel.training.run.settings import RunSettings

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.training.run.session import Session

__all__ = ["Outcome", "curve", "evaluate", "lmkernel", "say", "session_of"]


@dataclass(frozen=True)
class Outcome:
    """A command that succeeded.

    Args:
        output: text that it printed.
        seconds: time from start to end.
        processor: processor time of all its threads and children, in seconds.
    """

    output: str
    seconds: float
    processor: float


def lmkernel(*arguments: object) -> Outcome:
    """Run a command of lmkernel, whose progress goes to standard error.

    Raises:
        SystemExit: the command failed, after printing why.
    """
    command = [sys.executable, "-m", "lmkernel.cli", *map(str, arguments)]
    start, before = time.perf_counter(), _processor()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}")
    return Outcome(done.stdout, time.perf_counter() - start, _processor() - before)


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def evaluate(model: Path | str, data: Path, *options: object) -> dict[str, Any]:
    """Run `lmkernel evaluate` and return what it measures."""
    done = lmkernel("evaluate", model, "--data", data, "--json", *options)
    values: dict[str, Any] = json.loads(done.output)
    return values


def session_of(run: Path) -> Session:
    """A run put together again from its folder: first weights, batches and all."""
    return prepare_session(read_settings(run / SETTINGS, RunSettings))


def curve(run: Path, name: str) -> dict[int, float]:
    """A metric of a run, such as ``"train/loss"``, by step."""
    return {v["step"]: v[name] for v in read_metrics(run / "metrics.jsonl") if name in v}


def say(*lines: str) -> None:
    """Print the lines."""
    sys.stdout.write("\n".join(lines) + "\n")
