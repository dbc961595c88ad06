"""Ports with one defect each, made of transformers: each is found, placed and named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import broken_encoders
import broken_families
import pytest
from asking_ports import Twins, verify_port
from broken_transformers import CONFIGS, PORTS, Broken

if TYPE_CHECKING:
    from port_breaks import Break


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    return Twins(tmp_path_factory.mktemp("twins"))


ALL = [*PORTS, *broken_families.PORTS, *broken_encoders.PORTS]


@pytest.mark.parametrize("port", ALL, ids=lambda p: p.id)
def test_a_broken_port_is_found_placed_and_named(port: Broken, twins: Twins) -> None:
    found = verify_port(twins[port.twin], port.apply)
    assert not found.passed
    if port.place:
        assert found.parts_at == port.place, found
    # a defect that the table does not hold is unknown, and never called another
    assert found.diagnoses[:1] == ((port.looks,) if port.looks else ()), found


@pytest.mark.parametrize("name", sorted(CONFIGS))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_an_honest_port_is_right(name: str, dtype: str, twins: Twins) -> None:
    found = verify_port(twins[name], broken_families.untouched, dtype=dtype)
    assert found.passed, found


@pytest.mark.parametrize(("name", "dtype", "change"), broken_families.HONEST)
def test_an_honest_port_of_another_family_is_right(
    name: str, dtype: str, change: Break, twins: Twins
) -> None:
    found = verify_port(twins[name], change, dtype=dtype)
    assert found.passed, found


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_either_attention_is_right(attention: str, twins: Twins) -> None:
    options = {"attn": attention}
    assert verify_port(twins["llama"], broken_families.untouched, options=options).passed
