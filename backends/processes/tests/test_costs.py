"""What a run of two processes sends, beside what a plan says of it.

Constraints: what the kernel counts holds the headers of messages and the exchange after each step,
some hundred bytes, so the model is one whose gradients take much more. JAX between processors sends
more than a ring does, and how much is XLA's to say.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from several_runs import TINY, run

import lmkernel as lk

if TYPE_CHECKING:
    from pathlib import Path

WIDER = ["--width", "64", "--context", "16"]


@pytest.mark.parametrize("mesh", ["data=2", "fsdp=2", "model=2"])
def test_bytes_of_a_step_are_those_of_the_plan(mesh: str, tmp_path: Path) -> None:
    several = ["--processes", "2", "--mesh", mesh, "--steps", "6"]
    run("--backend", "torch", *TINY, *WIDER, *several, "--out", str(tmp_path / "r"))
    rows = map(json.loads, (tmp_path / "r" / "metrics.jsonl").read_text().splitlines())
    least = min(row["train/sent"] for row in rows if "train/sent" in row)
    planned = lk.plan(tmp_path / "r" / "model", mesh=mesh, batch=8, context=16)
    assert least == pytest.approx(planned.sent.total, rel=0.1)
