"""Trackers made for tests, named by the ``load`` of their specs."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, ClassVar, Self, final

from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.plugins import Registry, TrackerSpec, hookimpl
from lmkernel.training.trackers import RunInfo, RunStatus, Tracker

if TYPE_CHECKING:
    from collections.abc import Mapping


@final
class Plugin:
    @hookimpl
    def lmkernel_register_trackers(self) -> list[TrackerSpec]:
        loads = {"diary": "Diary", "shut": "Shut", "brittle": "Brittle", "sticky": "Sticky"}
        loads |= {"rogue": "Rogue", "stuck": "Stuck", "bound": "Bound"}
        return [
            TrackerSpec(contract=CONTRACT_VERSION, name=name, load=f"made_trackers:{load}")
            for name, load in loads.items()
        ]


def registry() -> Registry:
    return Registry({"made": Plugin()})


def note(run: RunInfo, line: str) -> None:
    """Append to the file that all of these trackers write."""
    with (run.folder / "diary").open("a") as file:
        file.write(line + "\n")


@final
class Diary(Tracker):
    """Notes every call, and spoils what it is handed."""

    def __init__(self, run: RunInfo) -> None:
        self.run = run

    @classmethod
    def open(cls, run: RunInfo) -> Self:
        note(run, f"diary open {run.name} {run.step}")
        return cls(run)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        note(self.run, f"diary log {step} {dict(values)}")
        values.clear()  # type: ignore[attr-defined]  # what a careless tracker might do

    def close(self, status: RunStatus) -> None:
        note(self.run, f"diary close {status}")


@final
class Shut(Tracker):
    """Cannot be opened."""

    @classmethod
    def open(cls, run: RunInfo) -> Self:
        raise ConnectionError(f"no server\nfor {run.name}")

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self, status: RunStatus) -> None: ...


@final
class Brittle(Tracker):
    """Breaks at step 2, and at its end."""

    def __init__(self, run: RunInfo) -> None:
        self.run = run

    @classmethod
    def open(cls, run: RunInfo) -> Self:
        return cls(run)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        note(self.run, f"brittle log {step} {dict(values)}")
        if step == 2:
            raise ValueError("broken")

    def close(self, status: RunStatus) -> None:
        note(self.run, f"brittle close {status}")
        raise ValueError("broken again")


@final
class Sticky(Tracker):
    """Cannot be closed."""

    @classmethod
    def open(cls, run: RunInfo) -> Self:
        del run
        return cls()

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self, status: RunStatus) -> None:
        raise OSError(f"cannot write {status}")


@final
class Rogue(Tracker):
    """Prints, and raises what it was given as its class's error."""

    error: ClassVar[BaseException]

    @classmethod
    def open(cls, run: RunInfo) -> Self:
        del run
        return cls()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        del step, values
        sys.stdout.write("rogue")
        raise self.error

    def close(self, status: RunStatus) -> None:
        del status
        raise self.error


@final
class Stuck(Tracker):
    """Does not come back from what it is told to."""

    at: ClassVar[str]
    calls: ClassVar[list[str]] = []
    reached: ClassVar[threading.Event] = threading.Event()

    @classmethod
    def open(cls, run: RunInfo) -> Self:
        del run
        cls.calls.clear()
        return cls()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        del step, values
        self.wait("log")

    def close(self, status: RunStatus) -> None:
        del status
        self.wait("close")

    def wait(self, here: str) -> None:
        self.calls.append(here)
        if here == self.at:
            self.reached.set()
            threading.Event().wait()


@final
class Bound(Tracker):
    """Can be used in one thread alone, as a connection of sqlite3."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()

    @classmethod
    def open(cls, run: RunInfo) -> Self:
        del run
        return cls()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        del step, values
        self.require()

    def close(self, status: RunStatus) -> None:
        del status
        self.require()

    def require(self) -> None:
        if threading.get_ident() != self.thread:
            raise RuntimeError("another thread")
