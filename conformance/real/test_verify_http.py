"""The broken ports through a server that says nothing but the log-probabilities of prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from asking_ports import Twins, verify_served
from broken_ports import SERVED, Served

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    folder: Path = tmp_path_factory.mktemp("twins")
    return Twins(folder)


@pytest.mark.parametrize("served", SERVED, ids=lambda one: one.port.id)
def test_a_broken_port_is_found_placed_and_named(served: Served, twins: Twins) -> None:
    found = verify_served(twins[served.port.twin], served.port)
    assert not found.passed
    assert found.parts_at == served.place, found
    assert found.diagnoses[:1] == ((served.looks,) if served.looks else ()), found
