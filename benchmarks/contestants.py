"""Who is measured: this project on each backend, and each rival in each way of running it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from subject import OURS

if TYPE_CHECKING:
    from collections.abc import Collection

    from subject import Subject

__all__ = ["Contestant", "Pythons", "contestants"]

WORKERS = Path(__file__).parent / "workers"


@dataclass(frozen=True)
class Pythons:
    """The interpreter that has each library."""

    transformers: str
    keras: str
    lmkernel: str


@dataclass(frozen=True)
class Contestant:
    """One line of the tables, one process in each round.

    Args:
        group: `OURS`, or name of the rival.
        variant: name of the backend, or way of running the rival.
        python: path of the interpreter.
        script: file name of the worker.
        env: variables to add to the environment.
    """

    group: str
    variant: str
    python: str
    script: str
    env: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The group and the variant."""
        return f"{self.group} {self.variant}"

    @property
    def worker(self) -> Path:
        """The script that measures it."""
        return WORKERS / self.script


def contestants(
    subject: Subject, pythons: Pythons, only: Collection[str], skip: Collection[str] = ()
) -> list[Contestant]:
    """List the contestants that the chosen backends need, rivals first.

    Args:
        subject: benchmark to run.
        pythons: interpreters of the libraries.
        only: names of our backends; a rival runs if one of them is compared with it.
        skip: names of contestants to leave out, such as ``"transformers compiled"``.
    """
    ours = [one for one in subject.variants[OURS] if one.partition("-")[0] in only]
    pairs = [(metric, variant) for variant in ours for metric in subject.metrics]
    groups = [*dict.fromkeys(subject.rival(*pair) for pair in pairs)]
    named = [(group, variant) for group in groups for variant in subject.variants[group]]
    everybody = [_one(subject, pythons, *one) for one in [*named, *((OURS, v) for v in ours)]]
    return [one for one in everybody if one.name not in skip]


def _one(subject: Subject, pythons: Pythons, group: str, variant: str) -> Contestant:
    library, _, backend = group.partition("-")
    script = subject.scripts[library]
    if library == "kerashub":
        return Contestant(group, variant, pythons.keras, script, {"KERAS_BACKEND": backend})
    python = pythons.lmkernel if library == OURS else pythons.transformers
    return Contestant(group, variant, python, script)
