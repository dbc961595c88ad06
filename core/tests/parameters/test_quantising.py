"""Codes of few bits: the nearest ones, their error, and words that ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.errors import CheckpointError, InputError
from lmkernel.parameters.quantising import Scheme, fitting, joined_blocks, quantise

if TYPE_CHECKING:
    from lmkernel.contract.blocks import Blocks


def expanded(blocks: Blocks) -> np.ndarray:
    ops = load_backend("numpy").ops
    return np.asarray(ops.unpack_linear(ops.pack_blocks(blocks, "float32")))


@pytest.mark.parametrize("group", [0, 32, 64])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
def test_each_number_is_half_a_step_off_at_most(*, bits: int, symmetric: bool, group: int) -> None:
    """A code is the nearest, but for what exceeds the last one: half the range is one step less."""
    weight = np.random.default_rng(bits).normal(size=(7, 128)).astype(np.float32)
    blocks, error = quantise(weight, Scheme(bits, group, symmetric), "w")
    found = expanded(blocks)
    groups = weight.reshape(7, -1, group or 128)
    if symmetric:
        step = np.abs(groups).max(-1) / (1 << (bits - 1))
        most = step  # the far end of the range has one code less
    else:
        step = (groups.max(-1) - groups.min(-1)) / ((1 << bits) - 1)
        most = step  # the zero is rounded too
    assert (np.abs(found.reshape(groups.shape) - groups) <= most[..., None] * (1 + 1e-5)).all()
    size = np.linalg.norm(found - weight) / np.linalg.norm(weight)
    assert error == pytest.approx(float(size), rel=1e-4)
    # uniform errors of a step have a root mean square of step / √12
    assert error < float(np.sqrt((step**2).mean() / 12)) * 1.3


@pytest.mark.parametrize("symmetric", [True, False])
def test_zeros_and_odd_widths(*, symmetric: bool) -> None:
    weight = np.zeros((3, 7), np.float32)
    weight[1] = [0, 1, 2, 3, 4, 5, 7.5]
    for bits in (4, 8):
        blocks, error = quantise(weight, Scheme(bits, 0, symmetric), "w")
        found = expanded(blocks)
        assert blocks.shape == (3, 7)
        assert not found[[0, 2]].any()
        assert np.isfinite(error)
        assert found[1, 0] == 0
    assert quantise(weight[:1], Scheme(8), "w")[1] == 0


def test_many_rows_are_quantised_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = np.random.default_rng(1).normal(size=(9, 32)).astype(np.float32)
    whole, error = quantise(weight, Scheme(4, 32), "w")
    monkeypatch.setattr("lmkernel.parameters.quantising._SLAB", 64)
    parts, same = quantise(weight, Scheme(4, 32), "w")
    np.testing.assert_array_equal(whole.codes, parts.codes)
    assert same == pytest.approx(error)


@pytest.mark.parametrize(
    ("said", "scheme"),
    [
        ("int8", Scheme(8)),
        ("int4", Scheme(4, 32)),
        ("int4,group=128", Scheme(4, 128)),
        ("int4,group=row", Scheme(4)),
        ("int8,asymmetric,group=64", Scheme(8, 64, symmetric=False)),
    ],
)
def test_words(said: str, scheme: Scheme) -> None:
    assert fitting(said) == scheme


@pytest.mark.parametrize(
    "said", ["", "int3", "int4,", "int4,group", "int4,group=16", "int4,group=0", "INT8", "int8 "]
)
def test_other_words_are_refused(said: str) -> None:
    with pytest.raises(InputError, match="weights: expected 'stored', or 'int8' or 'int4'"):
        fitting(said)


def test_what_cannot_be_quantised_is_named() -> None:
    with pytest.raises(InputError, match=r"multiple of the group, 32, got 40 \(a\.b\)"):
        quantise(np.zeros((2, 40), np.float32), Scheme(4, 32), "a.b")
    with pytest.raises(CheckpointError, match=r"a\.b: expected finite numbers"):
        quantise(np.full((2, 32), np.nan, np.float32), Scheme(8), "a.b")


def test_only_one_kind_is_joined() -> None:
    weight = np.eye(32, dtype=np.float32)
    one, _ = quantise(weight, Scheme(4, 32), "w")
    two, _ = quantise(weight, Scheme(4, 32, symmetric=False), "w")
    joined = joined_blocks([one, one])
    assert joined is not None
    assert joined.shape == (64, 32)
    np.testing.assert_array_equal(expanded(joined)[32:], expanded(one))
    assert joined_blocks([one, two]) is None
    assert joined_blocks([one, weight]) is None
