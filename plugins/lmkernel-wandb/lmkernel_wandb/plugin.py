"""Registers the tracker; imports wandb when it is selected, not before."""

from __future__ import annotations

from lmkernel.plugins import TrackerSpec, hookimpl


@hookimpl
def lmkernel_register_trackers() -> list[TrackerSpec]:
    """The tracker ``"wandb"``."""
    return [
        TrackerSpec(
            name="wandb",
            load="lmkernel_wandb.tracker:WandbTracker",
            contract="1.0",
        )
    ]
