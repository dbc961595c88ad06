"""Meshes: names and sizes of axes, and which part of them a number has."""

from __future__ import annotations

import pytest

from lmkernel.contract.distribution import Mesh
from lmkernel.errors import ConfigError


@pytest.mark.parametrize("text", ["data=2", "data=2,model=4", "fsdp=3"])
def test_a_mesh_is_read_as_it_is_written(text: str) -> None:
    assert str(Mesh.parse(text)) == text


@pytest.mark.parametrize("text", ["data", "data=0", "dta=2", "data=2,data=2", "data=2,", "data=-1"])
def test_what_is_no_mesh_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="mesh: expected axes among data, fsdp, model"):
        Mesh.parse(text)


def test_the_last_axis_varies_fastest() -> None:
    mesh = Mesh.parse("data=2,model=3")
    assert [mesh.index(rank, ("data",)) for rank in range(6)] == [0, 0, 0, 1, 1, 1]
    assert [mesh.index(rank, ("model",)) for rank in range(6)] == [0, 1, 2, 0, 1, 2]
    assert [mesh.index(rank, ("data", "model")) for rank in range(6)] == [*range(6)]


def test_rows_are_divided_by_all_axes_but_model() -> None:
    mesh = Mesh.parse("data=2,fsdp=3,model=4")
    assert mesh.rows == ("data", "fsdp")
    assert mesh.extent(mesh.rows) == 6
    assert mesh.extent(("absent",)) == 1


def test_a_mesh_without_axes_divides_rows_over_all() -> None:
    assert Mesh().over(4, "processes") == Mesh.parse("data=4")


def test_another_number_of_processes_is_refused() -> None:
    with pytest.raises(ConfigError, match="processes, 4; got data=2, which has 2"):
        Mesh.parse("data=2").over(4, "processes")
