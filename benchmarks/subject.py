"""What one benchmark compares: who runs, what is measured, the bars, the proof of equal work.

Constraint: our variants are called ``backend`` or ``backend-more``. A rival has a group of
variants, and a ratio is taken against the best of them, however its documentation tunes it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from contestants import Contestant

    Run = Mapping[str, Any]

__all__ = ["BACKENDS", "OURS", "Metric", "Subject"]

OURS = "lmkernel"
BACKENDS = ("numpy", "torch", "tensorflow", "jax")


@dataclass(frozen=True)
class Metric:
    """What a number means.

    Args:
        title: name for people.
        unit: unit of the number.
        is_speed: whether more is better.
        digits: decimals in tables.
    """

    title: str
    unit: str
    is_speed: bool
    digits: int


class Subject(ABC):
    """One benchmark.

    Attributes:
        title: title of its page.
        command: command that writes the page.
        scripts: worker of each library, by the first word of a group's name.
        variants: ways in which each group runs; `OURS` is among the groups.
        rivals: group that each of our variants is compared with.
        metrics: metrics in the order of the page.
        bars: ratio to reach or not to exceed, by metric and our variant.
        proof: heading and explanation of the column that shows equal work.
        repeats: default number of measurements within a process.
    """

    title: str
    command: str
    scripts: Mapping[str, str]
    variants: Mapping[str, tuple[str, ...]]
    rivals: Mapping[str, str]
    metrics: Mapping[str, Metric]
    bars: Mapping[tuple[str, str], float]
    proof: tuple[str, str]
    repeats: int

    def rival(self, metric: str, variant: str) -> str:
        """The group that one of our variants is compared with by a metric."""
        del metric
        return self.rivals[variant]

    @abstractmethod
    def prepare(self, args: argparse.Namespace) -> None:
        """Fill in what the options leave open, before anything runs."""

    @abstractmethod
    def task(self, one: Contestant, args: argparse.Namespace) -> dict[str, Any] | None:
        """The task that a worker reads from its command line; None where it has nothing to do."""

    @abstractmethod
    def cold_command(self, one: Contestant, args: argparse.Namespace) -> list[str] | None:
        """A program that answers from a cold start and ends; None where that is not measured."""

    @abstractmethod
    def settings(self, args: argparse.Namespace) -> dict[str, Any]:
        """Facts about the work that a reader needs, by title."""

    @abstractmethod
    def proof_cells(self, runs: Sequence[Run]) -> dict[str, str]:
        """The cells of the column that shows equal work, by contestant."""

    @abstractmethod
    def warnings(self, runs: Sequence[Run]) -> list[str]:
        """Warnings about results that show unequal work."""
