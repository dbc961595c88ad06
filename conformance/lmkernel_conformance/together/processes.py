"""Starts two processes of a backend, once for many cases, and reads what each of them found."""

from __future__ import annotations

import functools
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.distribution.launch import launch
from lmkernel_conformance.discrepancy import Discrepancy

if TYPE_CHECKING:
    from lmkernel.backend import Backend

__all__ = ["COUNT", "in_processes"]

COUNT = 2
"""Processes that a case starts."""

Found = dict[str, Any]


def in_processes(backend: Backend, program: str, dtype: str) -> list[Found]:
    """What each process found in a program, by rank; programs of a kind run in the same pair.

    Args:
        backend: which is loaded again in each.
        program: one of `lmkernel_conformance.cases.programs.PROGRAMS`.
        dtype: the floating dtype.

    Raises:
        LmkernelError: a process failed, with what it said.
        Discrepancy: process 0 ended in another code.
    """
    every = _run(backend.name, backend.device, dtype, program.partition(".")[0])
    head = f"{program}/"
    return [{n[len(head) :]: x for n, x in one.items() if n.startswith(head)} for one in every]


@functools.cache  # starting a framework takes most of the time that all of it takes
def _run(name: str, device: str, dtype: str, kind: str) -> list[Found]:
    member = [sys.executable, "-m", "lmkernel_conformance.together.member"]
    with tempfile.TemporaryDirectory() as folder:
        code = launch([*member, name, device, dtype, kind, folder], COUNT)
        if code:
            raise Discrepancy(f"expected two processes to end in 0, but process 0 ended in {code}")
        return [_read(Path(folder) / f"{rank}.npz") for rank in range(COUNT)]


def _read(path: Path) -> Found:
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}
