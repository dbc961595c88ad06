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
from lmkernel.machine import current_memory, environment, peak_flops, peak_memory
from lmkernel.plugins import BackendSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

GROWS = """
import json
from lmkernel.machine import current_memory, peak_memory
before = current_memory(), peak_memory()
block = bytearray(b"x") * 200_000_000
full = current_memory(), peak_memory()
del block
print(json.dumps([before, full, (current_memory(), peak_memory())]))
"""
MEGABYTE = 10**6


@pytest.fixture
def growth() -> list[list[int]]:
    """Current and peak memory of a process: before, with and after 200 MB."""
    child = subprocess.run([sys.executable, "-c", GROWS], capture_output=True, check=True)
    found: list[list[int]] = json.loads(child.stdout)
    return found


def test_memory_rises_and_falls_and_its_peak_stays(growth: list[list[int]]) -> None:
    (before, _), (full, peak), (after, peak_after) = growth
    assert full - before == pytest.approx(200 * MEGABYTE, abs=20 * MEGABYTE)
    assert full - after == pytest.approx(200 * MEGABYTE, abs=20 * MEGABYTE)
    assert peak >= full - MEGABYTE
    assert peak_after >= peak - MEGABYTE


def test_peak_is_this_process_s_own(growth: list[list[int]]) -> None:
    own = np.ones(60 * MEGABYTE)  # 480 MB in the process that starts the other
    child = subprocess.run([sys.executable, "-c", GROWS], capture_output=True, check=True)
    assert json.loads(child.stdout)[1][1] < own.nbytes
    assert growth[1][1] < own.nbytes


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


def description() -> Mapping[str, object]:
    spec = BackendSpec(
        name="made",
        load="made:create",
        contract=CONTRACT_VERSION,
        capabilities=Capabilities(),
        distributions=("pluggy", "no-such-distribution"),
    )
    return environment(spec, "cpu")


def test_environment_says_what_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(sys, "argv", ["lmkernel", "pretrain", "--set", "a=ü"])
    found = description()
    assert found["backend"] == "made"
    assert found["device"] == "cpu"
    assert found["arguments"] == ["lmkernel", "pretrain", "--set", "a=ü"]
    packages = found["packages"]
    assert isinstance(packages, dict)
    assert packages["numpy"] == np.__version__
    assert set(packages) == {"lmkernel", "numpy", "pluggy"}
    assert "'OMP_NUM_THREADS': '3'" in str(found["threads"])


def test_environment_is_json_and_names_the_processor() -> None:
    found = description()
    assert json.loads(json.dumps(found)) == found
    assert found["processor"]


def test_importing_loads_nothing_heavy() -> None:
    ours = "lmkernel.training.run.session, lmkernel.training.run.running"
    code = f"import sys, {ours}; print(*sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "tensorflow", "jax", "matplotlib", "filelock", "tqdm", "autograd"}
    assert heavy.isdisjoint(child.stdout.split())
    assert lmkernel.__name__ in child.stdout.split()
