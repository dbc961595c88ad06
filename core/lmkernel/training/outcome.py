"""What training and evaluation give back."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, final

from lmkernel.results import Paint, Result, plain
from lmkernel.training.run.metrics_log import read_metrics

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel
    from lmkernel.training.run.running import Outcome
    from lmkernel.training.run.settings import RunSettings

__all__ = ["Evaluation", "TrainingRun"]


@final
class Evaluation(Result, Mapping[str, float]):
    """The metrics of a model on data, by name: ``evaluation["loss"]``.

    Args:
        model: which model.
        data: which data.
        metrics: the values.
    """

    def __init__(self, *, model: str, data: str, metrics: Mapping[str, float]) -> None:
        self.model, self.data = model, data
        self._metrics = dict(metrics)

    def __getitem__(self, name: str) -> float:
        return self._metrics[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)

    def rows(self) -> list[list[str]]:
        """Its table."""
        metrics = [[name.replace("_", " "), f"{value:.6g}"] for name, value in self.items()]
        return [["METRIC", "VALUE"], *metrics]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"model": self.model, "data": self.data, **self._metrics}

    def text(self, paint: Paint = plain) -> str:
        """A line for each metric."""
        from lmkernel.results import columns

        del paint
        return columns(self.rows()[1:])

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name}={value:.4g}" for name, value in self.items())
        return f"Evaluation({metrics})"


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class TrainingRun(Result):
    """A run of training and what it left.

    Args:
        folder: of the run.
        settings: what it followed from.
        outcome: how it ended.
        rank: the number of this process among those of the run; process 0 wrote the folder.
    """

    folder: Path
    settings: RunSettings
    outcome: Outcome
    rank: int = 0

    @property
    def status(self) -> str:
        """``"finished"``, ``"stopped early"``, ``"interrupted"`` or ``"was finished"``."""
        return self.outcome.status

    @property
    def step(self) -> int:
        """After how many steps."""
        return self.outcome.step

    @property
    def model(self) -> Path:
        """The folder of the model that it made: ``lmkernel.load(run.model)``.

        Raises:
            RunError: the run was interrupted before it made one.
        """
        from lmkernel.errors import RunError

        if self.outcome.model is None:
            raise RunError(f"{self.folder}: interrupted after step {self.step}; resume it first")
        return self.outcome.model

    @property
    def evaluation(self) -> Mapping[str, float]:
        """What the last evaluation gave."""
        return self.outcome.evaluation

    @property
    def best(self) -> Mapping[str, Any]:
        """The step and the loss of the best evaluation."""
        return self.outcome.best

    def metrics(self) -> list[dict[str, Any]]:
        """All that it measured, in order: a table's rows with ``"step"`` and values by name."""
        return [dict(row) for row in read_metrics(self.folder / "metrics.jsonl")]

    def __fspath__(self) -> str:
        """The folder of its model, so that a run can be given where a model is expected."""
        return str(self.model)

    def load(self, backend: str | None = None, **where: Any) -> LanguageModel:
        """The model that it made; arguments as for `lmkernel.load`."""
        from lmkernel.loading import load

        return load(self.model, backend=backend or self.settings.backend or None, **where)

    def rows(self) -> list[list[str]]:
        """Its table."""
        shown = {k: v for k, v in self.evaluation.items() if k != "targets"}
        rows = [["RUN", str(self.folder)], [self.status, f"after step {self.step}"]]
        rows += [[name.replace("_", " "), f"{x:.4g}"] for name, x in shown.items()]
        return [*rows, ["model", str(self.outcome.model or "none yet")]]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "folder": str(self.folder),
            "status": self.status,
            "step": self.step,
            "model": str(self.outcome.model) if self.outcome.model else None,
            "best": dict(self.best),
            "evaluation": dict(self.evaluation),
        }

    def text(self, paint: Paint = plain) -> str:
        """What the command says at the end."""
        del paint
        if self.outcome.model is None:
            return f"interrupted after step {self.step}; resume it from {self.folder}"
        shown = {k: v for k, v in self.evaluation.items() if k != "targets"}
        numbers = ", ".join(f"{name.replace('_', ' ')} {x:.4g}" for name, x in shown.items())
        lines = [f"{self.status} after step {self.step}: {numbers}"]
        if self.best and self.best["step"] != self.step:
            lines.append(f"best: loss {self.best['loss']:.4g} at step {self.best['step']}")
        return "\n".join([*lines, f"model: {self.outcome.model}"])

    def _repr_html_(self) -> str:
        """The table, and the loss curve where the run drew one."""
        picture = self.folder / "loss.png"
        shown = super()._repr_html_()
        if not picture.is_file():
            return shown
        data = base64.b64encode(picture.read_bytes()).decode()
        style = "max-width: 640px"
        source = f"data:image/png;base64,{data}"
        return f'{shown}<img alt="{escape(str(self.folder))}" style="{style}" src="{source}">'

    def __repr__(self) -> str:
        return f"TrainingRun({str(self.folder)!r}, {self.status} after step {self.step})"
