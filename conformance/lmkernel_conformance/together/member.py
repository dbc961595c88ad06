"""One of the processes: runs all programs of a kind and writes what it found.

Constraint: standard output belongs to the process that asked, so nothing is printed there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lmkernel.backend import load_distributed
from lmkernel.contract.distribution import Mesh
from lmkernel.distribution.agreement import joined
from lmkernel.distribution.environment import find_processes
from lmkernel_conformance.cases.programs import PROGRAMS

if TYPE_CHECKING:
    from lmkernel.backend import Backend

__all__ = ["main"]


def main(name: str, device: str, dtype: str, kind: str, folder: str) -> None:
    """Run every program of a kind on a backend, and write ``RANK.npz``."""
    os.dup2(2, 1)
    processes = find_processes()

    def load(mesh: str) -> Backend:
        return load_distributed(name, Mesh.parse(mesh), processes, device=device.partition(":")[0])

    with joined(load("data=2").distribution):
        found = {
            f"{program}/{key}": x
            for program, run in PROGRAMS.items()
            if program.startswith(f"{kind}.")
            for key, x in run(load, dtype).items()
        }
        np.savez(Path(folder) / f"{processes.rank}.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
