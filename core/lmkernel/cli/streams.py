"""Standard streams that may be closed, full, narrow in their encoding, or gone.

Constraints: no command knows of any of this. A closed stream is an empty one that takes everything,
and so is standard input that cannot be read; a character that the encoding lacks is written as
``?``; a result that cannot be written is one sentence on standard error, which itself drops what it
does not take; what a plugin or a framework writes to the file descriptor itself, past Python, is no
result; and nothing complains again when the interpreter ends.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO, final

from lmkernel.progress import PatientStream

__all__ = [
    "end_output",
    "finish_output",
    "give_descriptor_back",
    "open_standard_streams",
    "report_output",
    "takes_output",
    "use_own_descriptor",
]

UNWRITTEN, CLOSED_PIPE = 1, 141


def open_standard_streams() -> None:
    """Open what is closed, and let no character be a failure."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None and not _is_open(number):
            # the lowest number that is free: else the next file that is opened would get it, and
            # what a library writes to standard output would end up in a model
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - a number; open to the end
    if not _is_readable(sys.stdin):
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")
    if not isinstance(sys.stderr, PatientStream):
        sys.stderr = PatientStream(sys.stderr)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _is_readable(stream: TextIO) -> bool:
    """Whether the system lets it be read, as one that was opened for writing is not."""
    try:
        number = stream.fileno()
    except (OSError, ValueError, AttributeError):  # not a stream of the system
        return True
    try:
        os.read(number, 0)
    except OSError:
        return False
    return True


@final
class _OwnOutput(io.TextIOWrapper):
    """Standard output through a file descriptor that nobody else knows of."""


def use_own_descriptor() -> None:
    """Have standard output a descriptor of its own; what is written to number 1 is an aside now.

    At the start of the program, once, while there is one thread and no plugin; the streams are
    open. On a terminal nothing changes: there both are seen, and an editor wants number 1.
    """
    out = sys.stdout
    if not isinstance(out, io.TextIOWrapper) or out.isatty():
        return
    raw = open(os.dup(1), "wb", 0 if out.write_through else -1)  # noqa: SIM115, PTH123 - a number; open to the end
    own = _OwnOutput(
        raw,
        out.encoding,
        out.errors,
        line_buffering=out.line_buffering,
        write_through=out.write_through,
    )
    os.dup2(2, 1)
    sys.stdout = own
    sys.__stdout__ = own  # type: ignore[misc]  # by which the width of lines is found


def give_descriptor_back() -> None:
    """Have number 1 be standard output again: a command of a plugin may put its results there."""
    if isinstance(sys.stdout, _OwnOutput):
        os.dup2(sys.stdout.fileno(), 1)


def end_output() -> None:
    """Have what is printed at the interpreter's end, once results are written, be an aside too."""
    own = sys.__stdout__
    if isinstance(own, _OwnOutput):
        with suppress(OSError, ValueError):  # closed, or taken apart
            own.flush()
            os.dup2(2, own.fileno())


def finish_output(code: int) -> int:
    """Write what was printed; the exit code, another where that is not possible."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return report_output(error) or code
    except (ValueError, AttributeError) as error:  # closed, or no stream; what did so may be told
        code = code or report_output(error)
        sys.stdout = None  # as of a closed stream; the interpreter flushes no other
    return code


def takes_output() -> bool:
    """Whether standard output takes a line more, on the way out of an error that may be its own."""
    try:
        print(flush=True)
    except (OSError, ValueError):
        return False
    return True


def report_output(error: Exception) -> int:
    """Say that the result could not be written; a reader that has gone needs no words."""
    _drop(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return CLOSED_PIPE
    reason = getattr(error, "strerror", None) or error
    text = f"standard output cannot be written: {reason}"
    print(f"lmkernel: error: {text}", file=sys.stderr)
    return UNWRITTEN


def _drop(stream: TextIO) -> None:
    """Let go of what could not be written, or the interpreter complains of it at its end."""
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, stream.fileno())
        os.close(sink)
    except (OSError, ValueError):  # not a stream of the system
        return
