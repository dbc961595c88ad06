"""Memory, peak and environment, beside what the machine is known to do."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

import lmkernel
from lmkernel.contract.capabilities import Capabilities
from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.plugins import BackendSpec
from lmkernel.training.run.environment import environment
from lmkernel.training.run.flops import flops_per_token, peak_flops
from lmkernel.training.run.memory import current_memory, peak_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

GROWS = """
import json
from lmkernel.training.run.memory import current_memory, peak_memory
before = current_memory(), peak_memory()
block = bytearray(b"x") * 200_000_000
full = current_memory(), peak_memory()
del block
print(json.dumps([before, full, (current_memory(), peak_memory())]))
"""
MEGABYTE = 10**6


@pytest.fixture
def grown() -> list[list[int]]:
    """Current and peak memory of a process: before, with and after 200 MB."""
    told = subprocess.run([sys.executable, "-c", GROWS], capture_output=True, check=True)
    found: list[list[int]] = json.loads(told.stdout)
    return found


def test_memory_rises_and_falls_and_its_peak_stays(grown: list[list[int]]) -> None:
    (before, _), (full, peak), (after, peak_after) = grown
    assert full - before == pytest.approx(200 * MEGABYTE, abs=20 * MEGABYTE)
    assert full - after == pytest.approx(200 * MEGABYTE, abs=20 * MEGABYTE)
    assert peak >= full - MEGABYTE
    assert peak_after >= peak - MEGABYTE


def test_peak_is_this_process_s_own(grown: list[list[int]]) -> None:
    own = np.ones(60 * MEGABYTE)  # 480 MB in the process that starts the other
    told = subprocess.run([sys.executable, "-c", GROWS], capture_output=True, check=True)
    assert json.loads(told.stdout)[1][1] < own.nbytes
    assert grown[1][1] < own.nbytes


def test_memory_of_this_process_is_known() -> None:
    current, peak = current_memory(), peak_memory()
    assert current is not None
    assert peak is not None
    assert current > MEGABYTE
    assert current < peak + 50 * MEGABYTE


def test_peak_is_measured_once() -> None:
    first = peak_flops()
    assert 1e8 < first < 1e15
    assert peak_flops() == first


def test_operations_of_a_token_by_hand() -> None:
    """One layer of width 2 over 3 positions: 5 parameters, scores and sums of 2·3·2 each way."""
    attention = 2 * (2 * 3 * 2) * 3  # two products, multiply and add, forward and twice backward
    assert flops_per_token(parameters=5, layers=1, width=2, context=3) == 6 * 5 + attention


def described() -> Mapping[str, object]:
    spec = BackendSpec(
        name="made",
        load="made:create",
        contract=CONTRACT_VERSION,
        capabilities=Capabilities(),
        distributions=("pluggy", "no-such-distribution"),
    )
    return environment(spec, "cpu", ["lmkernel", "pretrain", "--set", "a=ü"])


def test_environment_says_what_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = described()
    assert found["backend"] == "made"
    assert found["device"] == "cpu"
    assert found["arguments"] == ["lmkernel", "pretrain", "--set", "a=ü"]
    packages = found["packages"]
    assert isinstance(packages, dict)
    assert packages["numpy"] == np.__version__
    assert set(packages) == {"lmkernel", "numpy", "pluggy"}
    assert "'OMP_NUM_THREADS': '3'" in str(found["threads"])


def test_environment_is_json_and_names_the_processor() -> None:
    found = described()
    assert json.loads(json.dumps(found)) == found
    assert found["processor"]


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, lmkernel.training.run.session, lmkernel.training.run.running; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "tensorflow", "jax", "matplotlib", "filelock", "tqdm", "autograd"}
    assert heavy.isdisjoint(told.stdout.split())
    assert lmkernel.__name__ in told.stdout.split()
