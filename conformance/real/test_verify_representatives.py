"""One broken port of each kind of defect; `test_verify_transformers` has all, and takes long."""

from __future__ import annotations

import pytest
from asking_ports import Twins, verify_port
from broken_families import PORTS, Broken, untouched

KINDS = ("routed_scale", "betas", "late_norm", "tied", "restart")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    return Twins(tmp_path_factory.mktemp("twins"))


@pytest.mark.parametrize("port", [p for p in PORTS if p.id in KINDS], ids=lambda p: p.id)
def test_a_defect_of_each_kind_is_named(port: Broken, twins: Twins) -> None:
    found = verify_port(twins[port.twin], port.apply)
    assert (found.parts_at, found.diagnoses[:1]) == (port.place, (port.looks,)), found


def test_positions_after_the_row_of_padding_are_not_accused(twins: Twins) -> None:
    found = verify_port(twins["classes"], untouched)
    assert found.passed, found
