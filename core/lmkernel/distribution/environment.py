"""Which processes a run has, read from what starts them.

Sources: torchrun's variables (docs.pytorch.org, "torchrun", *Environment Variables*); those of
``jax.distributed.initialize``; srun(1), *OUTPUT ENVIRONMENT VARIABLES*; ``JOB_COMPLETION_INDEX`` of
Kubernetes' indexed jobs; ``TPU_WORKER_ID`` and ``TPU_WORKER_HOSTNAMES`` of GKE.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from lmkernel.contract.distribution import Processes
from lmkernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["find_processes"]

_JOIN_TIMEOUT = "LMKERNEL_JOIN_TIMEOUT"
"""Seconds that a process waits for the others of its run to come."""
_PORT = 29500
_FIRST_PORT, _PORTS = 61440, 4096
"""Slurm names no port, so a job has one by its number, among the highest."""
_FIRST_HOST = re.compile(r"([^,\[]+)(?:\[(\d+)[^\]]*\]([^,]*))?")
_LARGEST = 1_000_000


def find_processes(environ: Mapping[str, str] = os.environ) -> Processes:
    """Those that the environment tells of, or this one alone.

    Raises:
        ConfigError: a variable is missing or malformed; the message names it.
    """
    for find in (_torchrun, _jax, _kubernetes, _tpu, _slurm):
        found = find(environ)
        if found is not None and found.count > 1:
            return found
    return Processes()


def _torchrun(environ: Mapping[str, str]) -> Processes | None:
    if "RANK" not in environ or "WORLD_SIZE" not in environ:
        return None
    return _processes(environ, count="WORLD_SIZE", rank="RANK", local="LOCAL_RANK")


def _jax(environ: Mapping[str, str]) -> Processes | None:
    if "JAX_NUM_PROCESSES" not in environ or "JAX_PROCESS_ID" not in environ:
        return None
    return _processes(environ, count="JAX_NUM_PROCESSES", rank="JAX_PROCESS_ID")


def _kubernetes(environ: Mapping[str, str]) -> Processes | None:
    """An indexed job says which pod this is; how many, and where the first is, its manifest."""
    count = next((n for n in ("WORLD_SIZE", "JAX_NUM_PROCESSES") if n in environ), None)
    if "JOB_COMPLETION_INDEX" not in environ or count is None:
        return None
    return _processes(environ, count=count, rank="JOB_COMPLETION_INDEX")


def _tpu(environ: Mapping[str, str]) -> Processes | None:
    hosts = environ.get("TPU_WORKER_HOSTNAMES", "").split(",")
    if "TPU_WORKER_ID" not in environ or len(hosts) == 1:
        return None
    rank = _number(environ, "TPU_WORKER_ID", len(hosts))
    return Processes(
        count=len(hosts),
        rank=rank,
        host=hosts[0],
        found="TPU_WORKER_HOSTNAMES",
        timeout=_timeout(environ),
    )


def _slurm(environ: Mapping[str, str]) -> Processes | None:
    """Only what srun starts has a step: a script of sbatch itself is one process."""
    if "SLURM_STEP_NUM_TASKS" not in environ or "SLURM_PROCID" not in environ:
        return None
    count = _number(environ, "SLURM_STEP_NUM_TASKS")
    named = environ.get("SLURM_STEP_NODELIST", environ.get("SLURM_JOB_NODELIST", ""))
    host = _FIRST_HOST.match(named)
    if count > 1 and not host:
        raise ConfigError(f"SLURM_STEP_NODELIST: expected the names of nodes, got {named!r}")
    port = _FIRST_PORT + _number(environ, "SLURM_JOB_ID", 2**62) % _PORTS
    return Processes(
        count=count,
        rank=_number(environ, "SLURM_PROCID", count),
        local=_number(environ, "SLURM_LOCALID", count) if "SLURM_LOCALID" in environ else 0,
        host=environ.get("MASTER_ADDR")
        or ("".join(x or "" for x in host.groups()) if host else ""),
        port=_number(environ, "MASTER_PORT", 65536) if "MASTER_PORT" in environ else port,
        found="SLURM_STEP_NUM_TASKS",
        timeout=_timeout(environ),
    )


def _processes(environ: Mapping[str, str], *, count: str, rank: str, local: str = "") -> Processes:
    many, found = _number(environ, count), f"{rank} and {count}"
    host, port = _address(environ, found) if many > 1 else ("", 0)
    return Processes(
        count=many,
        rank=_number(environ, rank, many),
        local=_number(environ, local, many) if local in environ else 0,
        host=host,
        port=port,
        found=found,
        timeout=_timeout(environ),
    )


def _address(environ: Mapping[str, str], found: str) -> tuple[str, int]:
    if "JAX_COORDINATOR_ADDRESS" in environ:
        host, _, text = environ["JAX_COORDINATOR_ADDRESS"].rpartition(":")
        return host, _number({"JAX_COORDINATOR_ADDRESS": text}, "JAX_COORDINATOR_ADDRESS", 65536)
    if "MASTER_ADDR" not in environ:
        raise ConfigError(
            f"MASTER_ADDR: expected the address of process 0 beside {found} (or "
            "JAX_COORDINATOR_ADDRESS, with its port), got none"
        )
    port = _number(environ, "MASTER_PORT", 65536) if "MASTER_PORT" in environ else _PORT
    return environ["MASTER_ADDR"], port


def _timeout(environ: Mapping[str, str]) -> float:
    there = _JOIN_TIMEOUT in environ
    return float(_number(environ, _JOIN_TIMEOUT) if there else Processes().timeout)


def _number(environ: Mapping[str, str], name: str, below: int = _LARGEST) -> int:
    text = environ.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < below):  # noqa: PLR2004 - digits of a 64-bit number
        raise ConfigError(f"{name}: expected a whole number from 0 to {below - 1}, got {text!r}")
    return int(text)
