"""Starts the processes of a run on this machine, through the same door as torchrun does.

Constraints: process 0 has the terminal, the others are heard of only when they fail. When one fails
the others get some seconds to end by themselves; then they are ended.
"""

from __future__ import annotations

import itertools
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any, final

from lmkernel.errors import InputError, PeerError, RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["launch"]

_POLL, _GRACE, _LAST = 0.1, 20.0, 5.0
"""Seconds between looks; until those that are left are asked to end; until they are made to."""
_MOST = 1024
_SHOWN = 2000


def launch(command: Sequence[str], count: int) -> int:
    """Run a command as so many processes, and wait for all.

    Args:
        command: the program and its arguments, the same for each.
        count: how many processes.

    Returns:
        the exit code of process 0.

    Raises:
        InputError: not a number of processes.
        RunError: another process failed by itself, with what it said.
    """
    if not 1 <= count <= _MOST:
        raise InputError(f"processes: expected a number from 1 to {_MOST}, got {count}")
    with ExitStack() as stack:
        port = _free_port()
        started = [_Started(stack, command, rank, count, port) for rank in range(count)]
        stack.callback(_end, started)
        with _signals_passed_on(started):
            _wait(started)
    first = _first_to_fail(started)
    if first is not None and (first.rank or first.code < 0):
        raise RunError(f"process {first.rank} of {count}: {first.reason}")
    return started[0].code


def _first_to_fail(started: Sequence[_Started]) -> _Started | None:
    """The one whose end was seen first, of those that failed by themselves.

    An engine may end a process in an abort because another one is gone, so what failed later says
    less; of those that ended between two looks, a process that was killed did so of no other's
    doing. What all say, process 0 says.
    """
    failed = [one for one in started if one.failed_by_itself]
    if failed and failed[0].rank == 0 and failed[0].code > 0:
        return failed[0]
    return min(failed, key=lambda one: (one.ended, one.code != -signal.SIGKILL), default=None)


def _output() -> int | None:
    """The descriptor of standard output; None where it has none, and a child's is what it is."""
    try:
        return sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return None


@final
class _Started:
    """One process; with ``stack``, what it said is kept until it is read.

    ``ended`` is the number of the look at all of them at which it had ended.
    """

    def __init__(
        self, stack: ExitStack, command: Sequence[str], rank: int, count: int, port: int
    ) -> None:
        self.rank, self._ended, self.ended = rank, False, math.inf
        self._said: IO[bytes] | None = None
        environ = {
            # without a word of the user's, threads share the processors out
            "OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // count, 1)),
            **os.environ,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        # which need not be what lies at number 1
        streams: dict[str, Any] = {"stdout": _output()}
        if rank:
            self._said = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
            null = subprocess.DEVNULL
            streams = {"stdin": null, "stdout": null, "stderr": self._said}
        self._process = subprocess.Popen(list(command), env=environ, **streams)  # noqa: S603 - the program itself, as the user called it
        self.reason = ""

    @property
    def code(self) -> int:
        """The exit code; 0 while it runs."""
        return self._process.returncode or 0

    @property
    def failed_by_itself(self) -> bool:
        """Whether it failed, and not because another did or because it was interrupted."""
        return self.code not in (0, PeerError.exit_code, 128 + signal.SIGINT) and not self._ended

    def poll(self, look: float = math.inf) -> bool:
        """Whether it runs, at a numbered look."""
        running = self._process.poll() is None
        if not running:
            self.ended = min(self.ended, look)
        if not running and self.code and not self.reason:
            self.reason = self._describe()
        return running

    def send(self, number: int) -> None:
        """A signal, if it runs."""
        self._process.send_signal(number)

    def end(self, number: int) -> None:
        """A signal, if it runs; then it has not failed by itself."""
        if self.poll():
            self._ended = True
            self._process.send_signal(number)

    def wait(self) -> None:
        """Until it has ended."""
        self._process.wait()

    def _describe(self) -> str:
        if self.code < 0:
            return f"ended by signal {signal.Signals(-self.code).name}"
        if self._said is None:
            return f"ended in {self.code}"
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        said = next((x for x in reversed(lines) if "error: " in x), lines[-1] if lines else "")
        return said.partition("error: ")[2][:_SHOWN] or said[:_SHOWN] or f"ended in {self.code}"


def _wait(started: Sequence[_Started]) -> None:
    """Until all have ended, or some seconds after one has failed."""
    patience: float | None = None
    for look in itertools.count():
        if not any([one.poll(look) for one in started]):  # noqa: C419 - each is looked at
            return
        if patience is None and any(one.code for one in started):
            patience = time.monotonic() + _GRACE
        if patience is not None and time.monotonic() > patience:
            return
        time.sleep(_POLL)


def _end(started: Sequence[_Started]) -> None:
    """Those that still run are asked to end, then made to."""
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        for one in started:
            one.end(number)
        until = time.monotonic() + _LAST / 2
        while any([one.poll() for one in started]) and time.monotonic() < until:  # noqa: C419 - each is looked at
            time.sleep(_POLL)
    for one in started:
        one.wait()


@contextmanager
def _signals_passed_on(started: Sequence[_Started]) -> Iterator[None]:
    """The processes decide what a signal means; a terminal's Ctrl-C reaches them by itself."""

    def pass_on(number: int, frame: object) -> None:
        del frame
        for one in started:
            one.send(number)

    old = {signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None)}
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", None)):
        if number is not None:
            old[number] = signal.signal(number, pass_on)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
