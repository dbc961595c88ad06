"""A new model, pre-trained here and by transformers on torch: same weights, same batches.

Constraint: ``benchmarks/training/parity.py`` does the work and runs the command itself; 30 steps of
a tiny model, before rounding has had time to grow.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training" / "parity.py"
SIZES = {"width": 48, "layers": 2, "heads": 4, "context": 64, "vocab": 512, "batch": 8}
STEPS = 30
BACKENDS = [
    "numpy",
    "torch",
    pytest.param("tensorflow", marks=pytest.mark.whole),
    pytest.param("jax", marks=pytest.mark.whole),
]


@pytest.fixture(scope="module", params=BACKENDS)
def result(request: pytest.FixtureRequest) -> dict[str, Any]:
    sizes = [text for name, size in SIZES.items() for text in (f"--{name}", str(size))]
    command = [sys.executable, str(SCRIPT), "--backend", request.param, "--json"]
    done = subprocess.run(
        [*command, "--steps", str(STEPS), *sizes], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def test_losses_equal(result: dict[str, Any]) -> None:
    ours, theirs = result["train"]["ours"], result["train"]["theirs"]
    assert len(ours) == len(theirs) == STEPS
    assert ours[-1] < 0.9 * ours[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_validation_losses_equal(result: dict[str, Any]) -> None:
    np.testing.assert_allclose(result["validation"]["ours"], result["validation"]["theirs"], 1e-4)


def test_our_checkpoint_opens_there_with_equal_logits(result: dict[str, Any]) -> None:
    assert result["logits"]["opened there"] < 1e-5


def test_what_is_trained_there_opens_here_with_equal_logits(result: dict[str, Any]) -> None:
    assert result["logits"]["opened here"] < 1e-5
