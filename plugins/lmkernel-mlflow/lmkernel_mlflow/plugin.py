"""Registers the tracker; MLflow is imported once it is selected."""

from __future__ import annotations

from lmkernel.plugins import TrackerSpec, hookimpl


@hookimpl
def lmkernel_register_trackers() -> list[TrackerSpec]:
    """The tracker ``"mlflow"``."""
    return [
        TrackerSpec(
            name="mlflow",
            load="lmkernel_mlflow.tracker:MlflowTracker",
            contract="1.0",
        )
    ]
