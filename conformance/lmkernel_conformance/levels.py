"""The suite's levels and profiles, in the one place that commands, pytest and cases read them from.

Constraint: imports nothing, since pytest and the command line read it before anything is chosen.
"""

from __future__ import annotations

__all__ = ["LEVELS", "PROFILES"]

LEVELS = (
    "document",
    "operations",
    "gradients",
    "components",
    "models",
    "training",
    "generation",
    "determinism",
    "checkpoints",
)
"""Lowest first: a level may build on all before it. ``document`` holds the tutorial's numbers,
``determinism`` what a backend gives when it is asked again, in other company, or piece by piece."""
PROFILES = ("inference", "training", "full")
"""inference: no gradients; training: no generation and no files; full: all of it."""
