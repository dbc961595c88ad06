"""The process stays as it was while a plugin is loaded: what all of it shares is put back.

Constraint: a limit of recursion that was raised stays, and so does a name that was added to the
builtins; a framework may want either, and nobody is harmed.
"""

from __future__ import annotations

import builtins
import os
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["has_threads", "kept_process"]

_STARTED: WeakSet[threading.Thread] = WeakSet()
"""What plugins have started that would keep the program from ending."""


@contextmanager
def kept_process(who: str, tell: Callable[[str], object]) -> Iterator[None]:
    """Run a block that loads a plugin, and put back what it changes.

    It stands within whatever else is entered around a plugin, whose ends need the limit too.

    Args:
        who: the plugin, with its name.
        tell: called with a sentence that names the plugin and what it changed, if it did.
    """
    limit, folder, names = sys.getrecursionlimit(), _folder(), dict(vars(builtins))
    threads = {*threading.enumerate()}
    try:
        yield
    finally:
        lowered = sys.getrecursionlimit() < limit
        if lowered:  # at once, while there may be room for few calls
            sys.setrecursionlimit(limit)
        changed = ["the limit of recursion"] if lowered else []
        changed += [*_put_back_folder(folder), *_put_back_names(names)]
        _STARTED.update(one for one in threading.enumerate() if one not in threads)
        if changed:
            tell(f"{who} changed {', '.join(changed)} while it was loaded; what was before is back")


def has_threads() -> bool:
    """Whether there is a thread that a plugin started, and that Python would wait for."""
    return any(thread.is_alive() and not thread.daemon for thread in _STARTED)


def _put_back_folder(folder: str | None) -> Iterator[str]:
    if folder is not None and _folder() != folder:
        with suppress(OSError):  # it may have gone meanwhile
            os.chdir(folder)
            yield "the working directory"


def _put_back_names(names: dict[str, Any]) -> Iterator[str]:
    there = vars(builtins)
    for name, value in names.items():
        if name not in there or there[name] is not value:
            there[name] = value
            yield f"builtins.{name}"


def _folder() -> str | None:
    """The working directory; one that was removed has no name."""
    try:
        return os.getcwd()  # noqa: PTH109 - once for each plugin
    except OSError:
        return None
