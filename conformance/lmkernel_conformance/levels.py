"""The suite's levels and profiles, in the one place that commands, pytest and cases read them from.

Constraint: imports nothing, since pytest and the command line read it before anything is chosen.
"""

from __future__ import annotations

__all__ = ["LEVELS", "PROFILES", "SEVERAL", "levels_of"]

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
    "distribution",
)
"""Lowest first: a level may build on all before it. ``document`` holds the tutorial's numbers,
``determinism`` what a backend gives when it is asked again, in other company, or piece by piece,
``distribution`` what two processes of it give together."""
SEVERAL = "distribution"
"""The level that is asked of backends with a tier of distribution alone."""
PROFILES = ("inference", "training", "full")
"""inference: no gradients; training: no generation and no files; full: all of it."""


def levels_of(*, distributes: bool) -> tuple[str, ...]:
    """The levels that are asked of a backend.

    Args:
        distributes: whether it has a tier of distribution.
    """
    return tuple(level for level in LEVELS if distributes or level != SEVERAL)
