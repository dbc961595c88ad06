"""Freed memory is there for the next step; seen from a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

STEPS = """
import resource, sys
import numpy as np
from lmkernel_torch.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(3):
    np.ones(8 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    np.ones(8 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages handed out anew while 64 MiB are taken and given back three times."""
    done = subprocess.run(
        [sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_memory_is_not_handed_out_again() -> None:
    kept, usual = faults("kept"), faults("usual")
    if platform.libc_ver()[0] == "glibc":
        assert kept * 10 < usual
    else:
        assert kept <= usual * 2
