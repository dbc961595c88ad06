"""Where the program begins: Ctrl-C ends it alike at any time, also while modules are imported.

Constraints: what stands outside of `main` imports nothing that an interpreter has not loaded at its
start, so that hardly anything can be interrupted there; all else is imported within.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

__all__ = ["INTERRUPTED", "is_importing", "main"]

INTERRUPTED = 130
_IMPORTING = "<frozen importlib._bootstrap>"
"""The name of the file of the code that imports, in a frame of it."""


def main() -> int:
    """Run the program `lmkernel` with the arguments of this process.

    Returns:
        the exit code; after Ctrl-C, the process ends here.
    """
    try:
        _on_interrupt(_raise_unless_importing)
        from lmkernel.cli.main import main as run
        from lmkernel.cli.streams import end_output, open_standard_streams, use_own_descriptor
        from lmkernel.plugins.process import has_threads

        open_standard_streams()
        use_own_descriptor()
        code = run()
        _on_interrupt(lambda *_: _leave())  # nothing is left to be tidied
        end_output()
    except BaseException as error:
        if not _is_of_an_interrupt(error):
            raise
        _say_and_leave()
    if code == INTERRUPTED:
        _leave()
    if has_threads():
        _leave_threads(code)
    return code


def _on_interrupt(do: Callable[[int, FrameType | None], object]) -> None:
    """Handle Ctrl-C from here on, unless it is ignored, as under nohup."""
    import signal

    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, do)


def _raise_unless_importing(_: int, frame: FrameType | None) -> None:
    """Raise, but end the process within an import.

    What is imported may be anything: C++ that crashes when an exception comes, or a callback in
    which the interpreter prints what is raised, and goes on.
    """
    if is_importing(frame):
        _say_and_leave()
    raise KeyboardInterrupt


def is_importing(frame: FrameType | None) -> bool:
    """Whether a frame is part of an import."""
    while frame is not None and frame.f_code.co_filename != _IMPORTING:
        frame = frame.f_back
    return frame is not None


def _is_of_an_interrupt(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C, or what a clean-up raised in its place, as one of argparse does."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _say_and_leave() -> NoReturn:
    try:
        print("\ninterrupted", file=sys.stderr, flush=True)  # noqa: T201 - the program says it
    finally:
        _leave()


def _leave_threads(code: int) -> NoReturn:
    """End the process as Python does, but wait for no thread of a plugin, which may never end."""
    import atexit

    try:
        atexit._run_exitfuncs()  # noqa: SLF001 - the only name that it has
    finally:
        _leave(code)


def _leave(code: int = INTERRUPTED) -> NoReturn:
    """End the process now: a framework that was interrupted may crash or hang at its own end."""
    try:
        sys.stdout.flush()
    finally:
        os._exit(code)
