"""The machine that this runs on: what it is, how much memory it takes, how fast it multiplies.

Memory is resident memory as the operating system counts it, without other libraries. Sources:
proc(5) on Linux; ``PROC_PIDTASKINFO`` of libproc.h and getrusage(2) on macOS;
``GetProcessMemoryInfo`` of psapi.h on Windows.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.plugins.installed import installed_versions

if TYPE_CHECKING:
    from lmkernel.plugins.specs import BackendSpec

__all__ = [
    "current_memory",
    "environment",
    "peak_flops",
    "peak_memory",
    "processor",
    "usable_processors",
    "whole_memory",
]

_CPUINFO, _STATUS = Path("/proc/cpuinfo"), Path("/proc/self/status")
_TASK_INFO = 4  # PROC_PIDTASKINFO
_SIDE, _SECONDS = 1024, 0.3


def environment(spec: BackendSpec, device: str) -> dict[str, Any]:
    """Describe this process, as JSON can hold it.

    Args:
        spec: of the backend; the versions of its distributions are among what is described.
        device: of the backend.
    """
    packages = ("lmkernel", "numpy", *spec.distributions)
    threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "arguments": list(sys.argv),
        "backend": spec.name,
        "device": device,
        "packages": installed_versions(packages),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor(),
        "processors": {"there": os.cpu_count(), "usable": usable_processors()},
        "threads": dict(sorted(threads.items())),
    }


def processor() -> str:
    """The processor's name, as its maker calls it where the system says it."""
    if name := _field(_CPUINFO, "model name"):
        return name
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - nothing comes from outside
        if answer.stdout.strip():
            return answer.stdout.strip()
    return platform.processor() or platform.machine()


def usable_processors() -> int | None:
    """How many processors this process may run on, where the system says it."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def whole_memory() -> int | None:
    """Bytes of memory that the machine has, or None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def current_memory() -> int | None:
    """Bytes that are in memory now, or None where the system does not say."""
    if sys.platform == "win32":
        return _windows("working_set")
    if sys.platform == "darwin":
        return _macos()
    return _linux("VmRSS")


def peak_memory() -> int | None:
    """The most bytes that ever were in memory at once, or None where the system does not say.

    On Linux this is VmHWM: ``ru_maxrss`` there begins with what the parent process had.
    """
    if sys.platform == "win32":
        return _windows("peak_working_set")
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _linux("VmHWM")


def _field(path: Path, name: str) -> str:
    """The value of the first line ``name: value`` of a file that Linux keeps, or nothing."""
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        field, _, value = line.partition(":")
        if field.strip() == name:
            return value.strip()
    return ""


def _linux(name: str) -> int | None:
    kilobytes = _field(_STATUS, name).removesuffix(" kB")
    return int(kilobytes) * 1024 if kilobytes else None


@final
class _TaskInfo(ctypes.Structure):
    """The head of ``struct proc_taskinfo``, and room for the rest of its 96 bytes."""

    _fields_ = (
        ("virtual", ctypes.c_uint64),
        ("resident", ctypes.c_uint64),
        ("_", ctypes.c_char * 80),
    )


def _macos() -> int | None:
    info = _TaskInfo()
    size = ctypes.sizeof(info)
    library = ctypes.CDLL("/usr/lib/libproc.dylib")
    written = library.proc_pidinfo(
        os.getpid(), _TASK_INFO, ctypes.c_uint64(0), ctypes.byref(info), size
    )
    return int(info.resident) if written == size else None


@final
class _Counters(ctypes.Structure):
    """``PROCESS_MEMORY_COUNTERS``."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("page_faults", ctypes.c_uint32),
        ("peak_working_set", ctypes.c_size_t),
        ("working_set", ctypes.c_size_t),
        ("pools", ctypes.c_size_t * 4),
        ("pagefile", ctypes.c_size_t * 2),
    )


def _windows(field: str) -> int | None:
    kernel: Any = getattr(ctypes, "WinDLL")("kernel32")  # noqa: B009 - type checkers elsewhere know no WinDLL
    counters = _Counters(size=ctypes.sizeof(_Counters))
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    ask = kernel.K32GetProcessMemoryInfo
    ask.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
    success = ask(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.size)
    return int(getattr(counters, field)) if success else None


@functools.cache
def peak_flops() -> float:
    """Floating-point operations a second of NumPy's float32 matrix product; measured once.

    The best of the products of two square matrices that fit into about 0.3 s, with the threads
    that NumPy uses: the share that a run reaches of it can be above 1 with a faster library.
    """
    left = np.full((_SIDE, _SIDE), 1.5, np.float32)
    out = np.empty_like(left)
    np.matmul(left, left, out=out)  # threads start, pages appear
    best, end = float("inf"), time.perf_counter() + _SECONDS
    while (begin := time.perf_counter()) < end:
        np.matmul(left, left, out=out)
        best = min(best, time.perf_counter() - begin)
    return 2.0 * _SIDE**3 / best
