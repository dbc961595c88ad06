"""Ports with one defect each, made of transformers: each is found, placed and named."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import broken_encoders
import broken_families
import pytest
from asking_ports import Twins, verify_port
from broken_transformers import CONFIGS, PORTS, Broken
from family_breaks import in_tf32
from letters import letters
from port_breaks import set_eps

import lmkernel as lk

if TYPE_CHECKING:
    from pathlib import Path

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


def test_tf32_that_was_not_said_is_found(twins: Twins) -> None:
    found = verify_port(twins["untied"], in_tf32)
    assert found.parts_at == "layer 0 (attention)", found
    assert found.diagnoses == ()


@pytest.mark.parametrize("weights", ["int4,group=row", "int8"])
def test_a_port_with_weights_of_few_bits_is_right(
    weights: str, twins: Twins, tmp_path: Path
) -> None:
    whole = shutil.copytree(twins["untied"], tmp_path / "whole")
    letters().save(whole)
    made = lk.quantize(whole, tmp_path / "few", weights=weights, progress=False)
    found = verify_port(made.path, broken_families.untouched)
    assert found.passed, found


def test_a_compiled_port_is_right(twins: Twins) -> None:
    found = verify_port(twins["gpt2_small"], broken_families.untouched, options={"compile": "1"})
    assert found.passed, found


def test_a_verdict_is_the_same_bits_twice(twins: Twins) -> None:
    one, other = (verify_port(twins["mha"], set_eps(1e-3)).json() for _ in range(2))
    assert one == other


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_either_attention_is_right(attention: str, twins: Twins) -> None:
    options = {"attn": attention}
    assert verify_port(twins["llama"], broken_families.untouched, options=options).passed
