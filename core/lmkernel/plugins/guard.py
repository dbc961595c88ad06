"""Runs code of a plugin so that nothing of it reaches further than its own name.

Constraints: whatever it raises becomes a `PluginError`, `SystemExit` too, but not the user's
Ctrl-C; what it prints goes to standard error, since standard output is for results, unless it is
asked for these; it closes neither; a warning that a filter would raise is shown instead, since a
framework's warnings at import are its own affair. What other threads print stays where it was.
"""

from __future__ import annotations

import io
import sys
import warnings
from contextlib import contextmanager, nullcontext
from threading import get_ident
from typing import TYPE_CHECKING, Any, TextIO, cast, final

from lmkernel.errors import LmkernelError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["describe", "plugin_code"]

LONGEST = 1000
"""Characters that are kept of the message of an error."""


@contextmanager
def plugin_code(
    what: str, *let_through: type[BaseException], results: bool = False
) -> Iterator[None]:
    """Run a block that calls a plugin.

    Args:
        what: what is done, with the plugin's name; the message of the error begins with it.
        let_through: errors that are the answer, and are raised as they are.
        results: whether what it prints are results, which stay on standard output.

    Raises:
        PluginError: the block raised anything else, but for `KeyboardInterrupt`.
    """
    with _redirect_prints(results=results), _soften_warnings():
        try:
            yield
        except KeyboardInterrupt:
            raise
        except let_through:
            raise
        except BaseException as error:
            raise PluginError(f"{what}: {describe(error)}") from error


def describe(error: BaseException) -> str:
    """The message of any exception, which may fail to have one; with its class unless ours."""
    try:
        text = str(error)
    except BaseException as broken:  # noqa: BLE001 - a plugin's exception may do anything
        text = f"its message cannot be had, {_class_name(broken)}"
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}…"
    return text if issubclass(type(error), LmkernelError) else f"{_class_name(error)}: {text}"


def _class_name(error: BaseException) -> str:
    """The name of its class as Python has it; a metaclass may have anything in its place."""
    return str(type.__dict__["__name__"].__get__(type(error)))


@contextmanager
def _redirect_prints(*, results: bool) -> Iterator[None]:
    out, errors = _stream("stdout"), _stream("stderr")
    with (
        _stand_in("stdout", out if results else errors or io.StringIO()),
        nullcontext() if errors is None else _stand_in("stderr", errors),
    ):
        yield


@contextmanager
def _stand_in(name: str, aside: TextIO) -> Iterator[None]:
    """Have an `_Aside` in the place of a standard stream."""
    before = _stream(name)
    place = _Aside(before, aside)
    setattr(sys, name, place)
    try:
        yield
    finally:
        place.end()
        # what a plugin or another thread has put in its place meanwhile stays, and reaches `before`
        now = getattr(sys, name, None)
        if now is place or not _is_stream(now):
            setattr(sys, name, before)


def _stream(name: str) -> Any:
    """A standard stream, or None; a plugin may have deleted it.

    One that stood in its place, and was left there by blocks that overlap in threads, is passed
    over, so that no more and more of them stand before one another.
    """
    found = getattr(sys, name, None)
    while type(found) is _Aside and found.ended:
        found = found.own
    return found


def _is_stream(found: object) -> bool:
    """Whether something can be printed to; a plugin may leave anything where a stream was."""
    try:
        return callable(found.write) and callable(found.isatty)  # type: ignore[attr-defined]  # asked for here
    except BaseException:  # noqa: BLE001 - it may do anything
        return False


@final
class _Aside:
    """A standard stream that is another one in one thread, until its end.

    A plugin may keep it, as the default of an argument does, so after the end it is the one that
    was there before.
    """

    def __init__(self, own: TextIO, aside: TextIO) -> None:
        self.own = own
        self._aside = aside
        self._thread: int | None = get_ident()

    @property
    def ended(self) -> bool:
        """Whether it is the one that was there before, in every thread."""
        return self._thread is None

    def end(self) -> None:
        self._thread = None

    def close(self) -> None:
        """Nothing: what it stands for is the program's."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._aside if get_ident() == self._thread else self.own, name)


@contextmanager
def _soften_warnings() -> Iterator[None]:
    # `catch_warnings` would also undo the filters that a framework sets for good when it is
    # imported, so each filter that raises gets one before it that shows, taken away by identity
    filters = cast("list[tuple[Any, ...]]", warnings.filters)
    mine: list[tuple[Any, ...]] = []
    for place, rule in reversed(list(enumerate(filters))):
        if rule[0] == "error":
            mine.append(("default", *rule[1:]))
            filters.insert(place, mine[-1])
    try:
        yield
    finally:
        if mine:
            now = cast("list[tuple[Any, ...]]", warnings.filters)
            now[:] = [rule for rule in now if not any(rule is own for own in mine)]
            with warnings.catch_warnings():
                pass  # forgets what was shown already, so that it is raised again
