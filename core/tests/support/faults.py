"""Kills and faults of the disk at every step of a writer, to which each writer is put.

A step is a call of the system that changes the disk below a folder: a file opened for writing,
written to, a rename, an exchange, a flush, a folder made, something removed. Each trial is a forked
process in which the step fails with an error of the disk, or at which the process ends without a
word, as by SIGKILL. Besides, the largest size of a file is limited, so that writing fails in the
middle of it.
"""

from __future__ import annotations

import errno
import io
import os
import re
import resource
import signal
import sys
import traceback
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

from lmkernel.atomic import write as write_module
from lmkernel.errors import LmkernelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["Fault", "Writer", "check_writer", "litter"]

Fault = Literal["kill", "full disk", "broken disk"]
_ERRORS = {"full disk": errno.ENOSPC, "broken disk": errno.EIO}
_SECONDS = 40
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_LITTER = re.compile(r"\..*\.(part|rest|old)|.*\.tmp")
_DONE, _REFUSED, _BROKEN, _KILLED = 0, 1, 2, 99
_CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")


@final
@dataclass(frozen=True)
class Writer:
    """Something that writes below a folder.

    Args:
        write: writes a version, a small number, in place of the one that is there.
        read: the version that is there, whole; None where there is none. Raises if it is damaged.
        settle: what is done after a kill before anything is read; by default nothing.
    """

    write: Callable[[Path, int], object]
    read: Callable[[Path], int | None]
    settle: Callable[[Path], object] = lambda _: None


def check_writer(writer: Writer, root: Path, fault: Fault, most: int) -> int:
    """Try a writer with a fault at its steps, evenly spread if there are more than ``most``.

    After each, the earlier version or the later one is there, whole; then another is written, and
    nothing of the trial is left.

    Returns:
        how many steps it takes.
    """
    count = _steps_of(writer, root, fault)
    for step in sorted({count * n // most for n in range(most)}):
        folder = root / str(step)
        folder.mkdir()
        writer.write(folder, 1)
        ended = _child(writer, folder, lambda at=step, f=folder: _install(f, fault, at))
        assert ended in ((_KILLED,) if fault == "kill" else (_DONE, _REFUSED)), (fault, step, ended)
        check_outcome(writer, folder, f"{fault} at step {step}")
    return count


def check_sizes(writer: Writer, root: Path, sizes: Iterable[int]) -> None:
    """Try a writer where no file may be longer than each of some sizes."""
    for size in sizes:
        folder = root / f"size-{size}"
        folder.mkdir()
        writer.write(folder, 1)
        ended = _child(writer, folder, lambda most=size: _limit(most))
        assert ended == _REFUSED, f"files of {size} bytes: {ended}"
        check_outcome(writer, folder, f"files of {size} bytes")


def check_outcome(writer: Writer, folder: Path, what: str) -> None:
    """One of the two versions is there, and a third can be written."""
    writer.settle(folder)
    assert writer.read(folder) in (1, 2), what
    writer.write(folder, 3)
    assert writer.read(folder) == 3, what
    assert litter(folder) == [], what


def litter(folder: Path) -> list[str]:
    """What a writer left beside its files."""
    return sorted(str(p) for p in folder.rglob("*") if _LITTER.fullmatch(p.name))


def _steps_of(writer: Writer, root: Path, fault: Fault) -> int:
    """Steps of a writer that is left alone."""
    folder, steps = root / "alone", root / "steps"
    folder.mkdir()
    writer.write(folder, 1)

    def note(count: int) -> None:
        steps.write_text(str(count))

    assert _child(writer, folder, lambda: _install(folder, fault, -1, note)) == _DONE
    return int(steps.read_text())


def _child(writer: Writer, folder: Path, prepare: Callable[[], Callable[[], object] | None]) -> int:
    """How a forked process ended that wrote the second version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this process may have threads
        child = os.fork()
    if child == 0:
        code = _BROKEN
        signal.alarm(_SECONDS)
        try:
            done = prepare()
            writer.write(folder, 2)
            if done is not None:
                done()
            code = _DONE
        except LmkernelError:
            code = _REFUSED
        except BaseException:  # noqa: BLE001 - the process ends here
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _install(
    folder: Path, fault: Fault, step: int, note: Callable[[int], object] = lambda _: None
) -> Callable[[], object]:
    """Have this process fail at a step; there is no way back, so it must be one of its own.

    Returns:
        a function that notes how many steps there were.
    """
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1
        if taken == step + 1 and fault == "kill":
            os._exit(_KILLED)
        if taken == step + 1:
            raise OSError(_ERRORS[fault], os.strerror(_ERRORS[fault]))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        changes = bool(arguments[2] & _WRITES) if event == "open" else event in _CHANGES
        if changes and _is_below(folder, arguments[0]):
            count()

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any) -> Any:
            count()
            return call(*arguments)

        return made

    os.fsync = counted(lambda _: None)  # no power is cut here, and a flush takes long
    write_module.exchange = counted(write_module.exchange)  # type: ignore[attr-defined]  # a name of that module
    sys.addaudithook(watch)
    if fault == "kill":  # between opening a file, which empties it, and writing to it
        sys.setprofile(lambda _, event, call: event == "c_call" and _writes(call) and count())
    return lambda: note(taken)


def _is_below(folder: Path, path: Any) -> bool:
    """Whether a path is in a folder; a relative one is that of a tree being removed."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return False
    text = os.fsdecode(path)
    return not text.startswith(os.sep) or text.startswith(str(folder))


def _writes(call: Any) -> bool:
    return call.__name__ == "write" and isinstance(getattr(call, "__self__", None), io.IOBase)


def _limit(size: int) -> None:
    """SIGXFSZ is ignored by Python, so what comes is an error."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
