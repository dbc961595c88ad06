"""What a run ran on: versions, backend, device, processor, threads, command line."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.plugins.specs import BackendSpec

__all__ = ["environment", "processor"]

_CPUINFO = Path("/proc/cpuinfo")


def environment(
    spec: BackendSpec, device: str, arguments: Sequence[str] | None = None
) -> dict[str, Any]:
    """Describe this process, as JSON can hold it.

    Args:
        spec: of the backend; its distributions' versions are told.
        device: of the backend.
        arguments: of the command line; by default the process's.
    """
    packages = ("lmkernel", "numpy", *spec.distributions)
    threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "arguments": list(sys.argv if arguments is None else arguments),
        "backend": spec.name,
        "device": device,
        "packages": {name: version for name in packages if (version := _version(name))},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor(),
        "processors": {"there": os.cpu_count(), "usable": _usable()},
        "threads": dict(sorted(threads.items())),
    }


def processor() -> str:
    """The processor's name, as its maker calls it where the system tells."""
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - nothing comes from outside
        if told.stdout.strip():
            return told.stdout.strip()
    return platform.processor() or platform.machine()


def _usable() -> int | None:
    """Processors that this process may run on, where the system tells."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
