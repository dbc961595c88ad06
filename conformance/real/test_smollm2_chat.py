"""The real model answers a question on every backend, a plugin's too, through the command.

Constraints: needs the package index, all four frameworks and the plugin ``lmkernel-minimal`` in one
environment. A file of its own, so that another process may compare meanwhile.
"""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "backend",
    ["numpy", "torch", "jax", "minimal", pytest.param("tensorflow", marks=pytest.mark.whole)],
)
def test_chat_names_paris(backend: str) -> None:
    asked = [*("--backend", backend), "What is the capital of France?"]
    command = [sys.executable, "-m", "lmkernel.cli", "chat", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Paris" in done.stdout
