"""Runs of the command over several processes, and what they leave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.checkpoints.safetensors import open_safetensors

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BACKENDS",
    "SOON",
    "TINY",
    "assert_same_model",
    "command",
    "losses",
    "ranks_of",
    "run",
]

BACKENDS = ("torch", "jax")
TINY = [
    *("--width", "16", "--layers", "1", "--heads", "2", "--context", "16", "--vocab", "280"),
    *("--batch", "8", "--quiet", "--set", "training.evaluate_every=0"),
]
SOON = 900.0
"""Seconds for a framework to start and compile on a busy machine."""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lmkernel.cli", "pretrain", *arguments]


def run(*arguments: str) -> None:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def losses(folder: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["train/loss"] for row in rows if "train/loss" in row}


def weights(folder: Path) -> dict[str, Any]:
    tensors = open_safetensors(folder, "model")
    assert tensors is not None
    return {name: tensors.read(name) for name in tensors.names()}


def assert_same_model(one: Path, other: Path) -> None:
    """Float32 sums in another order, through some steps of AdamW of a rate of about 1e-3."""
    a, b = weights(one / "model"), weights(other / "model")
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=2e-4, err_msg=name)


def ranks_of(parent: int) -> Iterator[tuple[int, int]]:
    """The number and the process of each child."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            words = (place / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile
        ranks = [int(word[5:]) for word in words if word.startswith(b"RANK=")]
        if int(fields[1]) == parent and ranks:
            yield ranks[0], int(place.name)
