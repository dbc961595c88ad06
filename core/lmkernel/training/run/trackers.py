"""The trackers of a run, side by side: each gets everything, none harms the run or another.

Constraints: what is wrong at the start stops the run before its first step; what goes wrong later
is said once, by the tracker's name, and the run goes on without that tracker, be it only that no
answer comes. What one prints goes to standard error.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import PluginError, RunError
from lmkernel.own_thread import OwnThread
from lmkernel.plugins.guard import plugin_code
from lmkernel.plugins.registry import default_registry
from lmkernel.plugins.specs import TrackerSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lmkernel.training.trackers import RunInfo, RunStatus, Tracker

__all__ = ["Trackers", "open_trackers"]

PATIENCE = 60.0
"""Seconds that a tracker has to take numbers or to close; it may be sending them somewhere."""


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
            trackers.open(name, tracker, run)
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
        self._open: dict[str, tuple[Tracker, OwnThread]] = {}

    def open(self, name: str, kind: type[Tracker], run: RunInfo) -> None:
        """Open one more, which may take its time: it may ask the user for a password."""
        thread = OwnThread()
        what = f"tracker {name!r} cannot be opened"
        self._open[name] = _ask(thread, what, kind, "open", run), thread

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Give each one the numbers at a step, such as ``"train/loss"``."""
        for name, (tracker, thread) in list(self._open.items()):
            what = f"tracker {name!r} fails and is left out from here on"
            try:
                _ask(thread, what, tracker, "log", step, dict(values))
            except PluginError as error:
                del self._open[name]
                self._say(_line(error))
                with suppress(PluginError):  # one that fails may well fail again
                    _close(name, tracker, thread, "failed")

    def close(self, status: RunStatus) -> None:
        """Close each one; a second call does nothing."""
        trackers, self._open = self._open, {}
        for name, (tracker, thread) in trackers.items():
            try:
                _close(name, tracker, thread, status)
            except PluginError as error:
                self._say(_line(error))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close("finished")
        else:
            self.close("interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")


def _close(name: str, tracker: Tracker, thread: OwnThread, status: RunStatus) -> None:
    _ask(thread, f"tracker {name!r} cannot be closed", tracker, "close", status)


def _ask(thread: OwnThread, what: str, of: object, method: str, *arguments: Any) -> Any:
    """What a tracker's method gives, in its thread.

    Raises:
        PluginError: it raised something, or did not come back in time.
    """

    def guarded() -> Any:
        with plugin_code(what):
            return getattr(of, method)(*arguments)

    seconds = None if method == "open" else PATIENCE
    try:
        return thread.call(guarded, seconds)
    except TimeoutError:
        raise PluginError(f"{what}: no answer within {seconds:g} seconds") from None


def _line(error: PluginError) -> str:
    """What it says, in one line."""
    return " ".join(str(error).split())
