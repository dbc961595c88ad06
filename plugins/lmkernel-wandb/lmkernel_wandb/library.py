"""wandb, which reports its own errors to its makers only if WANDB_ERROR_REPORTING says so."""

from __future__ import annotations

import os  # wandb reads the environment when it is imported

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

from wandb import Error, Run, Settings, init

__all__ = ["Error", "Run", "Settings", "init"]
