"""What starts processes says which one this is; each starter in its own words."""

from __future__ import annotations

import pytest

from lmkernel.distribution.environment import find_processes
from lmkernel.errors import ConfigError

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "node0",
    "MASTER_PORT": "29600",
}
SLURM = {
    "SLURM_JOB_ID": "4097",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0",
    "SLURM_STEP_NODELIST": "gpu[007-009,12],other",
}


def test_nothing_said_is_one_process() -> None:
    assert find_processes({}).count == 1


def test_torchrun() -> None:
    found = find_processes(TORCHRUN)
    assert (found.count, found.rank, found.local) == (8, 3, 1)
    assert (found.host, found.port) == ("node0", 29600)


def test_one_process_of_torchrun_is_one_process() -> None:
    assert find_processes({"RANK": "0", "WORLD_SIZE": "1"}).count == 1


def test_jax() -> None:
    words = {
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": "1",
        "JAX_COORDINATOR_ADDRESS": "[::1]:1234",
    }
    found = find_processes(words)
    assert (found.count, found.rank, found.host, found.port) == (2, 1, "[::1]", 1234)


def test_kubernetes() -> None:
    words = {"JOB_COMPLETION_INDEX": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "train-0.train"}
    found = find_processes(words)
    assert (found.count, found.rank, found.host, found.port) == (4, 1, "train-0.train", 29500)


def test_tpu() -> None:
    found = find_processes({"TPU_WORKER_ID": "1", "TPU_WORKER_HOSTNAMES": "a,b"})
    assert (found.count, found.rank, found.host) == (2, 1, "a")


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("gpu[007-009,12],other", "gpu007"),
        ("node1", "node1"),
        ("a1,a2", "a1"),
        ("rack[1-2]-x,y", "rack1-x"),
    ],
)
def test_slurm_names_the_first_node(nodes: str, host: str) -> None:
    found = find_processes({**SLURM, "SLURM_STEP_NODELIST": nodes})
    assert (found.count, found.rank, found.local, found.host) == (4, 2, 0, host)
    assert found.port == 61441


def test_a_script_of_sbatch_is_one_process() -> None:
    assert find_processes({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}).count == 1


@pytest.mark.parametrize("rank", ["8", "-1", "x", "", "²"])
def test_a_number_that_cannot_be_is_named(rank: str) -> None:
    with pytest.raises(ConfigError, match="RANK: expected a whole number from 0 to 7"):
        find_processes({**TORCHRUN, "RANK": rank})


def test_a_missing_address_is_named() -> None:
    with pytest.raises(ConfigError, match="MASTER_ADDR: expected the address of process 0"):
        find_processes({"JOB_COMPLETION_INDEX": "1", "WORLD_SIZE": "4"})


def test_the_time_to_wait_is_said_by_the_user() -> None:
    assert find_processes({**TORCHRUN, "LMKERNEL_JOIN_TIMEOUT": "7"}).timeout == 7
