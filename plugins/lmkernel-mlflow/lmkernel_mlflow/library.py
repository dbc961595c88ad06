"""MLflow with its telemetry off, unless MLFLOW_DISABLE_TELEMETRY says otherwise."""

from __future__ import annotations

import os  # MLflow reads the environment when it is imported

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

__all__ = ["Metric", "MlflowClient", "MlflowException", "Param", "RunTag"]
