"""Finds the last recorded step of a run on this disk, with wandb's own reader.

Constraint: without a server wandb starts a new part for each session and knows nothing of earlier
ones, so it would record steps twice that a resumed run computes again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from lmkernel.errors import TrackerError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["last_step"]

_READER = (sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json")


def last_step(folder: Path, identity: str) -> int:
    """The last recorded step of all parts of a run; -1 where none holds a step.

    Raises:
        TrackerError: wandb cannot read a part.
    """
    parts = folder.glob(f"*run-*-{identity}*")
    for part in sorted(parts, key=lambda path: path.name.partition("run-")[2], reverse=True):
        step = _step(part)
        if step is not None:
            return step
    return -1


def _step(part: Path) -> int | None:
    """The last step of one part; None if the session was killed before its first."""
    done = subprocess.run([*_READER, str(part)], capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        raise TrackerError(
            f"wandb: cannot read {part}: {done.stderr.strip()}; move it elsewhere to "
            "continue without it"
        )
    step = json.loads(done.stdout)["step"]
    return None if step is None else int(step)
