"""What one benchmark compares: who runs, what is measured, what is asked, what proves equal work.

Constraint: our variants are called ``backend`` or ``backend-more``; a rival's group holds its
variants, and a ratio is taken against the best of them, so a rival is always seen as its
documentation tunes it, whichever way that turns out faster here.
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
        title: for people.
        unit: of the number.
        is_speed: whether more is better.
        digits: after the point in tables.
    """

    title: str
    unit: str
    is_speed: bool
    digits: int


class Subject(ABC):
    """One benchmark.

    Attributes:
        title: of its page.
        command: what writes the page.
        scripts: the worker of each library, by the first word of a group's name.
        variants: the ways in which each group runs; `OURS` among them.
        rivals: the group that each of our variants is compared with.
        metrics: in the order of the page.
        bars: by metric and our variant: the ratio to reach, or not to exceed.
        proof: heading and explanation of the column that shows equal work.
        repeats: measurements within a process, by default.
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
        """What a worker reads from its command line; None where there is nothing for one."""

    @abstractmethod
    def cold_command(self, one: Contestant, args: argparse.Namespace) -> list[str] | None:
        """A program that answers from a cold start and ends; None where that is not measured."""

    @abstractmethod
    def settings(self, args: argparse.Namespace) -> dict[str, Any]:
        """What a reader needs to know of the work, by title."""

    @abstractmethod
    def shown(self, runs: Sequence[Run]) -> dict[str, str]:
        """The cells of the column that shows equal work, by contestant."""

    @abstractmethod
    def warnings(self, runs: Sequence[Run]) -> list[str]:
        """What in the results says that the work was not equal."""
