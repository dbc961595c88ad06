"""How parameters lie on a mesh, and what is refused before anything is placed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from training_samples import letters_batch

from lmkernel.backend import load_backend
from lmkernel.composed.alone import Alone
from lmkernel.contract.distribution import Mesh
from lmkernel.errors import ConfigError, InputError
from lmkernel.interfaces import Init, Param
from lmkernel.training.step.layout import Layout, spec_of


def param(shape: tuple[int, ...], *axes: str) -> Param:
    return Param(shape, Init("zeros"), axes)


@pytest.mark.parametrize(
    ("mesh", "axes", "spec"),
    [
        ("data=2", ("heads", "embed"), ()),
        ("fsdp=2", ("heads", "embed"), ((), ("fsdp",))),
        ("model=2", ("heads", "embed"), (("model",), ())),
        ("data=2,fsdp=2,model=2", ("mlp", "embed"), (("model",), ("fsdp",))),
        ("fsdp=2", ("embed", "embed"), (("fsdp",), ())),  # an axis divides once
        ("fsdp=2", ("position", "bucket"), ()),
    ],
)
def test_rules_follow_logical_axes(
    mesh: str, axes: tuple[str, str], spec: tuple[tuple[str, ...], ...]
) -> None:
    assert spec_of(Mesh.parse(mesh), "w", param((8, 8), *axes)) == spec


def test_an_extent_that_does_not_divide_is_named() -> None:
    with pytest.raises(ConfigError, match=r"divide by fsdp=3, but 'embed' of a\.weight is 8"):
        spec_of(Mesh.parse("fsdp=3"), "a.weight", param((6, 8), "heads", "embed"))


def test_a_vocabulary_that_does_not_divide_stays_whole() -> None:
    assert spec_of(Mesh.parse("model=2"), "w", param((61, 8), "vocab", "embed")) == ()


def test_rows_that_do_not_divide_are_refused() -> None:
    numpy = load_backend("numpy")
    alone = Alone(numpy.ops)
    alone.mesh = Mesh.parse("data=2,fsdp=2")
    with pytest.raises(
        InputError, match="rows that divide by 4 with the mesh data=2,fsdp=2, got 3"
    ):
        Layout(replace(numpy, engine=alone), {}, "float32").batch(letters_batch(3), "float32")
