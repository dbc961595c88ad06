"""Runs one measured process at a time: output, peak memory, and how busy the machine was.

The peak is the kernel's high-water mark of resident memory, ``VmHWM``, read while the process
lives; ``ru_maxrss`` of the ended process is kept beside it as a cross-check.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ContestantError", "Outcome", "environment", "run_cold", "run_worker", "warm_files"]

UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Switches of the library behind NumPy that would favour or hinder one contestant."""

SETTINGS = {
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""The same for all: processors only, nothing asked of the network, less noise."""

POLL_SECONDS = 0.02
CHUNK = 1 << 20


class ContestantError(Exception):
    """A process failed; the message has its exit code and the last line that it wrote."""


@dataclass(frozen=True)
class Outcome:
    """What the driver observed of one process.

    Args:
        output: whole standard output.
        seconds: time from its start to the last byte of output.
        exit_seconds: time from its start to its end.
        peak_kib: peak memory (VmHWM) in KiB.
        maxrss_kib: peak memory (``ru_maxrss``) in KiB.
        foreign: share of all processors' time that other processes took meanwhile.
    """

    output: str
    seconds: float
    exit_seconds: float
    peak_kib: int
    maxrss_kib: int
    foreign: float


def environment(extra: dict[str, str]) -> dict[str, str]:
    """Return the environment of a measured process."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    return {**kept, **SETTINGS, **extra}


def warm_files(folder: Path) -> None:
    """Read every file once, so that all contestants find them in the page cache."""
    for path in sorted(folder.iterdir()):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.read(CHUNK):
                    pass


def run_worker(
    command: list[str], task: dict[str, Any], env: dict[str, str], timeout: float
) -> dict[str, Any]:
    """Run a worker and return its JSON line, with the driver's observations as ``process``."""
    outcome = _run([*command, json.dumps(task)], env, timeout)
    result: dict[str, Any] = json.loads(outcome.output.strip().splitlines()[-1])
    observed = asdict(outcome)
    del observed["output"]
    return {**result, "process": observed}


def run_cold(command: list[str], env: dict[str, str], timeout: float) -> dict[str, Any]:
    """Run a program that answers and ends."""
    return asdict(_run(command, env, timeout))


def _run(command: list[str], env: dict[str, str], timeout: float) -> Outcome:
    with tempfile.TemporaryFile() as errors:
        busy, start = _busy_seconds(), time.perf_counter()
        child = subprocess.Popen(  # noqa: S603 - the commands are this folder's own
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        with _kill_after(child.pid, timeout):
            output, last, peak = _follow(child)
            _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        end = time.perf_counter()
        if child.returncode or not output.strip():
            raise ContestantError(_complaint(child.returncode, errors))
    own = usage.ru_utime + usage.ru_stime
    room = (end - start) * (os.cpu_count() or 1)
    return Outcome(
        output=output.decode(errors="replace"),
        seconds=last - start,
        exit_seconds=end - start,
        peak_kib=peak or usage.ru_maxrss,  # it ended before the first look
        maxrss_kib=usage.ru_maxrss,
        foreign=min(
            1.0, max(0.0, _busy_seconds() - busy - own) / room
        ),  # /proc counts in ticks, so it may be below 0
    )


def _follow(child: subprocess.Popen[bytes]) -> tuple[bytes, float, int]:
    """Read until the output ends: its bytes, when the last of them came, the peak memory."""
    if child.stdout is None:
        raise TypeError("expected a pipe as standard output")
    output, last, peak = bytearray(), time.perf_counter(), 0
    with child.stdout as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], POLL_SECONDS)
            peak = max(peak, _high_water_kib(child.pid))
            if not ready:
                continue
            chunk = os.read(pipe.fileno(), CHUNK)
            if not chunk:
                return bytes(output), last, peak
            last = time.perf_counter()
            output += chunk


def _high_water_kib(pid: int) -> int:
    """VmHWM of a process; 0 once its memory is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) if found else 0


def _busy_seconds() -> float:
    """Time that all processors together have spent working, seconds."""
    fields = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _kill_after(pid: int, seconds: float) -> Iterator[None]:
    """End the child's own process group if it takes too long."""
    timer = threading.Timer(seconds, os.killpg, (pid, signal.SIGKILL))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _complaint(code: int, errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return f"exit code {code}: {lines[-1] if lines else 'it wrote nothing'}"
