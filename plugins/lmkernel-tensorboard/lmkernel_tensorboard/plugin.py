"""Registers the tracker; TensorBoard is imported once it is selected."""

from __future__ import annotations

from lmkernel.plugins import TrackerSpec, hookimpl


@hookimpl
def lmkernel_register_trackers() -> list[TrackerSpec]:
    """The tracker ``"tensorboard"``."""
    return [
        TrackerSpec(
            name="tensorboard",
            load="lmkernel_tensorboard.tracker:TensorBoardTracker",
            contract="1.0",
        )
    ]
