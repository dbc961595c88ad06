"""What of a run is on this disk already, read by wandb's own reader.

Constraint: without a server, wandb begins each part of a resumed run anew and knows nothing of the
parts before; it would record their last steps twice.
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
    """The last step on record in the parts of a run; -1 where none holds a step.

    Raises:
        TrackerError: a part that wandb cannot read.
    """
    parts = folder.glob(f"*run-*-{identity}*")
    for part in sorted(parts, key=lambda path: path.name.partition("run-")[2], reverse=True):
        step = _step(part)
        if step is not None:
            return step
    return -1


def _step(part: Path) -> int | None:
    """The last step of one part; a run that was killed at once has none."""
    done = subprocess.run([*_READER, str(part)], capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        raise TrackerError(
            f"wandb: cannot read {part}: {done.stderr.strip()}; move it elsewhere to "
            "continue without it"
        )
    step = json.loads(done.stdout)["step"]
    return None if step is None else int(step)
