"""Every backend computes on a device that is there, and refuses one that is not in one sentence."""

from __future__ import annotations

import re

import pytest

from lmkernel.backend import load_backend
from lmkernel.errors import CapabilityError
from lmkernel.plugins import default_registry

REFUSAL = r"^backend '{}': expected a device that is there, got '{}'; this build/machine has: .*cpu"


def test_each_declared_device_computes_or_is_refused() -> None:
    spec = default_registry().select_backend(None)
    computed, refusals = [], {}
    for device in spec.capabilities.devices:
        try:
            backend = load_backend(device=device)
        except CapabilityError as error:
            refusals[device] = str(error)
            continue
        with backend:
            one = backend.ops.asarray([1.0], "float32")
            assert backend.ops.to_numpy(one + one).tolist() == [2.0]
        computed.append(device)
    assert "cpu" in computed
    for device, refusal in refusals.items():
        assert re.search(REFUSAL.format(spec.name, device), refusal)


@pytest.mark.parametrize("place", [0, -1])
def test_an_index_beyond_those_that_are_there_is_refused(place: int) -> None:
    spec = default_registry().select_backend(None)
    device = f"{spec.capabilities.devices[place]}:999"
    with pytest.raises(CapabilityError, match=REFUSAL.format(spec.name, device)):
        load_backend(device=device)


def test_the_first_of_a_kind_may_be_named_by_its_index() -> None:
    assert load_backend(device="cpu:0").device == "cpu:0"
