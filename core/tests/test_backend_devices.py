"""A device that is not there is one sentence, which says what is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lmkernel.backend import load_backend, require_present
from lmkernel.contract.capabilities import Capabilities
from lmkernel.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("cpu", "cuda", "mps")
CPU_ALONE = {"cpu": 1, "cuda": 0, "mps": 0}
TWO_GPUS = {"cpu": 1, "cuda": 2, "mps": 0}


@pytest.mark.parametrize(
    ("device", "index"), [("cpu", 0), ("cpu:0", 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)]
)
def test_the_index_of_a_device_that_is_there(device: str, index: int) -> None:
    assert require_present("own", device, KINDS, TWO_GPUS.__getitem__) == index


@pytest.mark.parametrize(
    ("counts", "device", "there"),
    [
        (CPU_ALONE, "cuda", "cpu"),
        (CPU_ALONE, "cuda:1", "cpu"),
        (TWO_GPUS, "mps", "cpu, cuda"),
        (TWO_GPUS, "cuda:2", "cpu (1), cuda (2)"),
        (TWO_GPUS, "cuda:x", "cpu (1), cuda (2)"),
        (TWO_GPUS, "cuda:-1", "cpu (1), cuda (2)"),
        (CPU_ALONE, "cpu:7", "cpu (1)"),
        (CPU_ALONE, "tpu", "cpu"),
        ({"cpu": 0, "cuda": 0, "mps": 0}, "cpu", "none"),
    ],
)
def test_a_device_that_is_not_there(counts: Mapping[str, int], device: str, there: str) -> None:
    with pytest.raises(CapabilityError) as refused:
        require_present("own", device, KINDS, counts.__getitem__)
    assert str(refused.value) == (
        f"backend 'own': expected a device that is there, got {device!r}; "
        f"this build/machine has: {there}"
    )


def test_other_kinds_are_not_asked_about_without_need() -> None:
    asked = []

    def count(kind: str) -> int:
        asked.append(kind)
        return 1

    require_present("own", "cpu", KINDS, count)
    assert asked == ["cpu"]


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "cuda:12"])
def test_a_declared_device_is_accepted(device: str) -> None:
    assert Capabilities(devices=("cpu", "cuda")).require_device("own", device) == device


@pytest.mark.parametrize("index", ["x", "", "-1", "1.0", "1:2", " 1", "²", "٣"])
def test_an_index_that_is_no_whole_number_is_refused(index: str) -> None:
    with pytest.raises(CapabilityError, match=r"'own': expected a whole number .* 'cuda:0'; got "):
        Capabilities(devices=("cpu", "cuda")).require_device("own", f"cuda:{index}")


@pytest.mark.parametrize(
    ("device", "told"),
    [
        ("cuda", r"^backend 'numpy' declares the devices cpu; got 'cuda'$"),
        ("cpu:x", r"^backend 'numpy': expected a whole number .*; got 'cpu:x'$"),
        ("cpu:7", r"^backend 'numpy': .*got 'cpu:7'; this build/machine has: cpu \(1\)$"),
    ],
)
def test_a_backend_is_not_loaded_on_another_device(device: str, told: str) -> None:
    with pytest.raises(CapabilityError, match=told):
        load_backend("numpy", device=device)
