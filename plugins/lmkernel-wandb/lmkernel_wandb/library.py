"""wandb with its error reporting off, unless WANDB_ERROR_REPORTING says otherwise."""

from __future__ import annotations

import os  # wandb reads the environment when it is imported

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

from wandb import Error, Run, Settings, init

__all__ = ["Error", "Run", "Settings", "init"]
