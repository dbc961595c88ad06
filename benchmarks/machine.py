"""Describes what the figures were measured on: processor, threads, memory, system."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["describe"]


def describe() -> dict[str, str]:
    """Return what a reader needs to place the figures, by title."""
    threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    chosen = ", ".join(f"{name}={value}" for name, value in sorted(threads.items()))
    return {
        "processor": _processor(),
        "processors to use": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "thread variables": chosen or "none set, so every library decides",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    """Return the processor's name as the kernel tells it, with the widest vector unit it has."""
    fields: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = fields.get("flags", "").split()
    wide = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    where = f"family {fields.get('cpu family', '?')}, model {fields.get('model', '?')}"
    name = fields.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({where}; {' '.join(wide) or 'no wide vectors'})"
