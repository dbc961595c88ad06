"""Resident memory of this process, as the operating system counts it, without other libraries.

Sources: proc(5) on Linux; ``PROC_PIDTASKINFO`` of libproc.h and getrusage(2) on macOS;
``GetProcessMemoryInfo`` of psapi.h on Windows.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any, final

__all__ = ["current_memory", "peak_memory"]

_STATUS = Path("/proc/self/status")
_TASK_INFO = 4  # PROC_PIDTASKINFO


def current_memory() -> int | None:
    """Bytes that are in memory now, or None where the system does not tell."""
    if sys.platform == "win32":
        return _windows("working_set")
    if sys.platform == "darwin":
        return _macos()
    return _linux("VmRSS")


def peak_memory() -> int | None:
    """The most bytes that ever were in memory at once, or None where the system does not tell.

    On Linux this is VmHWM: ``ru_maxrss`` there begins with what the parent process had.
    """
    if sys.platform == "win32":
        return _windows("peak_working_set")
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _linux("VmHWM")


def _linux(name: str) -> int | None:
    if not _STATUS.exists():
        return None
    for line in _STATUS.read_text().splitlines():
        field, _, value = line.partition(":")
        if field == name:
            return int(value.split()[0]) * 1024
    return None


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
    told = library.proc_pidinfo(
        os.getpid(), _TASK_INFO, ctypes.c_uint64(0), ctypes.byref(info), size
    )
    return int(info.resident) if told == size else None


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
    told = ask(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.size)
    return int(getattr(counters, field)) if told else None
