"""Reads and writes MLflow's record of a run.

Constraint: without MLFLOW_TRACKING_URI the record is a SQLite database in a folder of the run,
which MLflow recommends over its files.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lmkernel_mlflow.library import Metric, MlflowClient, Param, RunTag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["connect", "experiment", "record_metrics", "record_settings", "steps"]

_SETTINGS, _METRICS = 100, 1000
"""The most parameters or tags, and the most metrics, that MLflow takes at once."""


def connect(folder: Path) -> MlflowClient:
    """A client of the server that MLFLOW_TRACKING_URI names, or of a database in the folder."""
    local = f"sqlite:///{(folder / 'mlflow.db').resolve().as_posix()}"
    return MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or local)


def experiment(client: MlflowClient, folder: Path) -> str:
    """The id of the experiment that MLFLOW_EXPERIMENT_NAME names, or of "lmkernel"."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "lmkernel"
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    local = not os.environ.get("MLFLOW_TRACKING_URI")
    location = (folder / "artifacts").resolve().as_uri() if local else None
    return str(client.create_experiment(name, artifact_location=location))


def record_settings(client: MlflowClient, run_id: str, settings: Mapping[str, Any]) -> None:
    """Record settings as parameters.

    MLflow never changes a parameter, so a setting that a resumed run has changed becomes a tag.
    """
    known = client.get_run(run_id).data.params
    texts = {name: str(value) for name, value in settings.items()}
    params = [Param(name, text) for name, text in texts.items() if name not in known]
    tags = [RunTag(name, text) for name, text in texts.items() if known.get(name, text) != text]
    for batch in _batches(params, _SETTINGS):
        client.log_batch(run_id, params=batch)
    for batch in _batches(tags, _SETTINGS):
        client.log_batch(run_id, tags=batch)


def record_metrics(client: MlflowClient, run_id: str, metrics: Sequence[Metric]) -> None:
    """Record numbers with their steps and times; the sequence may be empty."""
    for batch in _batches(metrics, _METRICS):
        client.log_batch(run_id, metrics=batch)


def steps(client: MlflowClient, run_id: str) -> dict[str, int]:
    """The last recorded step of each metric."""
    return {
        name: max(metric.step for metric in client.get_metric_history(run_id, name))
        for name in client.get_run(run_id).data.metrics
    }


def _batches(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(items), most):
        yield items[begin : begin + most]
