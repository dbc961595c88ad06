"""Standard streams and environments of every kind, and a command that runs in one of them.

Each command runs in a forked process, so that it has streams and an environment of its own without
a start of the interpreter. What an interpreter does with its streams at its start and at its end is
done here as it does it.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import signal
import struct
import sys
import termios
import traceback
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["CONDITIONS", "Condition", "Ended", "run_under"]


@final
@dataclass(frozen=True, kw_only=True)
class Condition:
    """What a command finds when it starts.

    Args:
        out, error: where standard output and standard error go: ``"file"``, ``"closed"``,
            ``"full"``, ``"gone"`` (a pipe that nobody reads) or ``"terminal"``.
        given: standard input: ``"nothing"``, ``"closed"``, ``"written"`` (open for writing alone)
            or ``"endless"``.
        columns: of a terminal.
        encoding: of standard output.
        buffered: whether output is collected before it is written.
        environment: variables in place of the test's own; None is unset.
        homeless: whether the user has no home folder.
    """

    out: str = "file"
    error: str = "file"
    given: str = "nothing"
    columns: int = 80
    encoding: str = "utf-8"
    buffered: bool = True
    environment: Mapping[str, str | None] = field(default_factory=dict)
    homeless: bool = False


_SECONDS = 60
_GIVEN = {"written": (os.devnull, os.O_WRONLY), "endless": ("/dev/zero", os.O_RDONLY)}
_NO_HOME = {"LMKERNEL_HOME": None, "HOME": None, "XDG_CACHE_HOME": None}
CONDITIONS: dict[str, Condition] = {
    "nothing unusual": Condition(),
    "standard output closed (`>&-`)": Condition(out="closed"),
    "standard error closed (`2>&-`)": Condition(error="closed"),
    "standard input closed (`<&-`)": Condition(given="closed"),
    "all three closed": Condition(out="closed", error="closed", given="closed"),
    "standard output full (`>/dev/full`)": Condition(out="full"),
    "the same, with `PYTHONUNBUFFERED=1`": Condition(out="full", buffered=False),
    "standard error full (`2>/dev/full`)": Condition(error="full"),
    "the reader of standard output gone (`| head -1`)": Condition(out="gone"),
    "`PYTHONIOENCODING=ascii`": Condition(encoding="ascii"),
    "`PYTHONIOENCODING=cp1252`": Condition(encoding="cp1252"),
    "a terminal of 0 columns": Condition(out="terminal", error="terminal", columns=0),
    "a terminal of 20 columns": Condition(out="terminal", error="terminal", columns=20),
    "a terminal of 500 columns": Condition(out="terminal", error="terminal", columns=500),
    "`TERM=dumb`": Condition(out="terminal", error="terminal", environment={"TERM": "dumb"}),
    "`TERM` unset": Condition(out="terminal", error="terminal", environment={"TERM": None}),
    "`NO_COLOR=1`": Condition(out="terminal", error="terminal", environment={"NO_COLOR": "1"}),
    "`COLUMNS=0`": Condition(environment={"COLUMNS": "0"}),
    "`COLUMNS=1`": Condition(environment={"COLUMNS": "1"}),
    "no home folder": Condition(environment=_NO_HOME, homeless=True),
    "`LMKERNEL_HOME=~nobody`": Condition(environment={"LMKERNEL_HOME": "~no-such-user/models"}),
    "`LMKERNEL_HOME` that cannot be written": Condition(
        environment={"LMKERNEL_HOME": "/dev/null/home"}
    ),
}


@final
@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it wrote."""

    code: int
    out: str
    error: str


def run_under(condition: Condition, work: Callable[[Sequence[str]], int], *argv: str) -> Ended:
    """Run a command's `main` in a process of its own under a condition."""
    files = [_temporary() for _ in range(3)]
    terminal = os.openpty() if "terminal" in (condition.out, condition.error) else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this process may have threads
        child = os.fork()
    if child == 0:
        code = 99
        signal.alarm(_SECONDS)
        try:
            _prepare(condition, files, terminal)
            code = _flush(work(argv))
        except BaseException:  # noqa: BLE001 - the process ends here
            os.write(files[2], traceback.format_exc().encode(errors="replace"))
        finally:
            os._exit(code)
    shown = b""
    if terminal is not None:
        os.close(terminal[1])
        shown = _drain(terminal[0])
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    out, error = (_content(files[n]) for n in (1, 2))
    os.close(files[0])
    return Ended(
        code, (out + shown).decode(condition.encoding), error.decode(errors="backslashreplace")
    )


def _temporary() -> int:
    return os.memfd_create("stream")


def _content(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    with os.fdopen(handle, "rb") as file:
        return file.read()


def _drain(handle: int) -> bytes:
    """What a terminal shows, until nobody writes to it."""
    shown = b""
    try:
        while piece := os.read(handle, 1 << 16):
            shown += piece
    except OSError as error:
        if error.errno != errno.EIO:  # how Linux says that it is over
            raise
    finally:
        os.close(handle)
    return shown


def _prepare(condition: Condition, files: list[int], terminal: tuple[int, int] | None) -> None:
    for name, value in condition.environment.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    if condition.homeless:
        import pwd

        def nobody(_: int) -> None:
            raise KeyError

        pwd.getpwuid = nobody  # type: ignore[assignment]  # as for a user that the system lacks
    if terminal is not None:
        size = struct.pack("HHHH", 24, condition.columns, 0, 0)
        fcntl.ioctl(terminal[1], termios.TIOCSWINSZ, size)
    places = {"file": files, "terminal": [-1, *[terminal[1] if terminal else -1] * 2]}
    _give(condition.given, files[0])
    for number, where in ((1, condition.out), (2, condition.error)):
        if where == "full":
            handle = os.open("/dev/full", os.O_WRONLY)
        elif where == "gone":
            reader, handle = os.pipe()
            os.close(reader)
        else:
            handle = places.get(where, files)[number]
        os.dup2(handle, number)
        if where == "closed":
            os.close(number)
    _open_as_an_interpreter(condition)


def _give(what: str, nothing: int) -> None:
    """Standard input."""
    os.dup2(os.open(*_GIVEN[what]) if what in _GIVEN else nothing, 0)
    if what == "closed":
        os.close(0)


def _open_as_an_interpreter(condition: Condition) -> None:
    opened: list[io.TextIOWrapper | None] = []
    for number in range(3):
        try:
            raw = io.FileIO(number, "wb" if number else "rb", closefd=False)
        except OSError:
            opened.append(None)
            continue
        plain = number == 1 and not condition.buffered
        opened.append(
            io.TextIOWrapper(
                raw if plain else (io.BufferedWriter(raw) if number else io.BufferedReader(raw)),  # type: ignore[arg-type]  # as Python's own
                encoding=condition.encoding,
                errors="backslashreplace" if number == 2 else "strict",
                line_buffering=raw.isatty() or number == 2,
                write_through=plain,
            )
        )
    sys.stdin, sys.stdout, sys.stderr = opened  # type: ignore[assignment]  # None, as an interpreter has it


def _flush(code: int) -> int:
    """What an interpreter does at its end: 120 where output could not be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            return 120
    return code
