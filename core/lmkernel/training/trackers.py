"""The interface of an experiment tracker, such as TensorBoard's; plugins supply them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["RunInfo", "RunStatus", "Tracker"]

RunStatus = Literal["finished", "interrupted", "failed"]


@final
@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What a tracker gets to know of a run when it opens.

    Args:
        name: of the run.
        folder: of the run; a tracker that writes files does so in a folder of its own inside.
        settings: all that was configured, flat, by dotted name; values are str, int, float, bool.
        step: the step that the run resumes after; 0 for a new one. A tracker that is
            opened for a resumed run continues the record that it finds in the folder.
    """

    name: str
    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0

    def measured(self) -> Iterator[tuple[int, dict[str, float]]]:
        """What the run's own log holds up to `step`, in its order: the step, the numbers by name.

        For a tracker that lacks some of it: one that is new to the run, or one that had not written
        all of it when the process was killed.
        """
        from lmkernel.training.run.folder import RunFolder
        from lmkernel.training.run.metrics_log import read_metrics

        for line in read_metrics(RunFolder(self.folder).metrics):
            step = int(line.pop("step"))
            if step <= self.step:
                yield step, line


class Tracker(ABC):
    """Records one run; found by the name that it is registered under."""

    @classmethod
    @abstractmethod
    def open(cls, run: RunInfo) -> Self:
        """Begin or continue the record of a run."""

    @abstractmethod
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers by name, such as ``"train/loss"``, at a step."""

    @abstractmethod
    def close(self, status: RunStatus) -> None:
        """Flush and end the record; called once, also after an error or an interrupt."""
