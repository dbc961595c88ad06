"""A command from a plugin: what goes wrong in it is reported by the command's name.

Built-in commands run as they are.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, final

from lmkernel.cli.streams import give_descriptor_back, takes_output
from lmkernel.errors import LmkernelError, PluginError, shown
from lmkernel.plugins.guard import describe, plugin_code
from lmkernel.plugins.places import places_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from lmkernel.plugins import CommandSpec

__all__ = ["Ended", "checked_code", "command_code", "work_code"]

_OURS = "lmkernel."
"""What the place of a built-in command begins with."""
_MOST = 255
"""The largest exit code; of a larger one the system keeps the lowest eight bits."""


def command_code(spec: CommandSpec) -> AbstractContextManager[None]:
    """Run a block that calls a command: one of a plugin's as a plugin's code.

    Our own errors, ``SystemExit``, the user's Ctrl-C and what is wrong with a named file or with
    standard output are raised as they are.

    Raises:
        PluginError: the command is a plugin's, and raised anything else, or exited with a code
            that is none.
    """
    return nullcontext() if spec.load.startswith(_OURS) else _guarded(f"command {spec.name!r}")


def checked_code(spec: CommandSpec, code: object) -> int:
    """The exit code that a command returned.

    Raises:
        PluginError: it is none.
    """
    return _checked(f"command {spec.name!r}", code)


@final
class Ended(SystemExit):
    """The end of a built-in command whose work other processes have done; its code is theirs."""


def work_code(spec: CommandSpec) -> AbstractContextManager[None]:
    """Run a block in which a command works, once its arguments are read.

    A built-in one ends by its result: what it calls, such as a backend's operation, must not end
    the program, which would look like success. Our own errors, the user's Ctrl-C, want of memory,
    what is wrong with a named file, and what the core itself raises are raised as they are.

    Raises:
        PluginError: a plugin raised anything else; names it, what it was asked for, and its line.
            Or ``SystemExit`` came; names the line that raised it.
    """
    return _named() if spec.load.startswith(_OURS) else nullcontext()


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except (Ended, LmkernelError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        from lmkernel.cli.culprit import culprit

        of_a_file = isinstance(error, OSError) and error.filename is not None
        where = "" if of_a_file else culprit(error)
        if not where and isinstance(error, SystemExit):
            frame, line = places_of(error)[-1]
            where = f"{frame.f_code.co_filename}, line {line}"
        if not where:
            raise
        raise PluginError(f"{where}: {describe(error)}") from error


@contextmanager
def _guarded(what: str) -> Iterator[None]:
    give_descriptor_back()
    try:
        with plugin_code(what, LmkernelError, SystemExit, OSError, results=True):
            yield
        with plugin_code(what, OSError, results=True):
            sys.stdout.flush()  # it may be what the command has put there
    except SystemExit as stop:
        raise SystemExit(_leaving(what, stop.code)) from stop
    except OSError as error:
        if error.filename is not None or not takes_output():
            raise
        raise PluginError(f"{what}: {describe(error)}") from error


def _leaving(what: str, code: object) -> int | str:
    """What Python makes of the code of ``SystemExit``: a number, or a text to be shown."""
    if isinstance(code, int):
        return _checked(what, code)
    with plugin_code(what):
        return 0 if code is None else str(code)


def _checked(what: str, code: object) -> int:
    if not isinstance(code, int) or isinstance(code, bool) or not 0 <= code <= _MOST:
        raise PluginError(f"{what}: expected an exit code in 0 … {_MOST}, got {shown(code)}")
    return code
