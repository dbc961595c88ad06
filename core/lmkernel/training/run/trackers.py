"""The trackers of a run, side by side: each gets everything, none harms the run or another.

Constraints: what is wrong at the start stops the run before its first step; what goes wrong later
is said once, by the tracker's name, and the run goes on without that tracker. What one prints goes
to standard error.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, final

from lmkernel.errors import PluginError, RunError
from lmkernel.plugins.guard import plugin_code
from lmkernel.plugins.registry import default_registry
from lmkernel.plugins.specs import TrackerSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lmkernel.training.trackers import RunInfo, RunStatus, Tracker

__all__ = ["Trackers", "open_trackers"]


def open_trackers(
    names: Iterable[str],
    run: RunInfo,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Trackers:
    """Open trackers by name; a name that is there twice opens one.

    Args:
        names: what they are registered under.
        run: what they get to know of it.
        say: shows a line, for what goes wrong later.

    Raises:
        UnknownNameError, PluginError: there is no such tracker, or it cannot be imported; none was
            opened.
        RunError: one cannot be opened; those opened before it are closed as ``"failed"``.
    """
    there = default_registry()
    specs = [there.get(TrackerSpec, name) for name in dict.fromkeys(names)]
    classes = {spec.name: spec.resolve() for spec in specs}
    trackers = Trackers(say)
    for name, tracker in classes.items():
        try:
            with plugin_code(f"tracker {name!r} cannot be opened"):
                trackers.add(name, tracker.open(run))
        except PluginError as error:
            trackers.close("failed")
            raise RunError(_line(error)) from error
        except KeyboardInterrupt:
            trackers.close("failed")
            raise
    return trackers


@final
class Trackers(AbstractContextManager["Trackers"]):
    """Trackers by name; a context manager that closes them.

    Args:
        say: shows a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._open: dict[str, Tracker] = {}

    def add(self, name: str, tracker: Tracker) -> None:
        """One more, which is open."""
        self._open[name] = tracker

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Give each one the numbers at a step, such as ``"train/loss"``."""
        for name, tracker in list(self._open.items()):
            try:
                with plugin_code(f"tracker {name!r} fails and is left out from here on"):
                    tracker.log(step, dict(values))
            except PluginError as error:
                del self._open[name]
                self._say(_line(error))
                self._end(name, tracker, "failed", quiet=True)

    def close(self, status: RunStatus) -> None:
        """Close each one; a second call does nothing."""
        trackers, self._open = self._open, {}
        for name, tracker in trackers.items():
            self._end(name, tracker, status)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close("finished")
        else:
            self.close("interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")

    def _end(self, name: str, tracker: Tracker, status: RunStatus, *, quiet: bool = False) -> None:
        try:
            with plugin_code(f"tracker {name!r} cannot be closed"):
                tracker.close(status)
        except PluginError as error:
            if not quiet:
                self._say(_line(error))


def _line(error: PluginError) -> str:
    """What it says, in one line."""
    return " ".join(str(error).split())
