"""Weights of few bits: the bits of the reference's numbers, and products slab by slab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.composed import assemble
from lmkernel.composed.block_kinds import GGUF_KINDS
from lmkernel.composed.codes import CODES
from lmkernel.contract.blocks import Blocks

if TYPE_CHECKING:
    from lmkernel.contract.optional import Ops

_SCALES = {"q4_1": (0, 2), "q5_1": (0, 2), "q4_k": (0, 2), "q5_k": (0, 2), "q6_k": (208,)}


@pytest.fixture(params=["own", "composed"])
def ops(request: pytest.FixtureRequest) -> Ops:
    found = load_backend("numpy").ops
    return found if request.param == "own" else assemble(found, {})


def stored(kind: str, rows: int = 6, blocks: int = 5) -> Blocks:
    """Any bytes, and as scales every sort of float16: normal, subnormal, zeros of both signs."""
    size, numbers = GGUF_KINDS[kind].size, GGUF_KINDS[kind].numbers
    random = np.random.default_rng(len(kind))
    data = random.integers(0, 256, (rows * blocks, size), np.uint8)
    for at in _SCALES.get(kind, () if kind == "mxfp4" else (0,)):
        scales = random.normal(size=(rows * blocks, 1)).astype("<f2")
        scales[:6, 0] = [0.0, -0.0, 6e-8, -3e-5, 65504, -1e-7]
        data[:, at : at + 2] = scales.view(np.uint8)
    if kind == "mxfp4":
        data[:, 0] = random.integers(2, 250, rows * blocks)
    return Blocks(kind, (rows, blocks * numbers), data.reshape(rows, -1))


@pytest.mark.parametrize("kind", GGUF_KINDS)
def test_numbers_have_the_bits_of_the_reference(ops: Ops, kind: str) -> None:
    weight = stored(kind)
    expected = gguf.dequantize(weight.codes, gguf.GGMLQuantizationType[kind.upper()])
    handle = ops.pack_blocks(weight, "float32")
    found = np.asarray(ops.unpack_linear(handle))
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))
    rows = np.asarray(ops.take_rows(handle, ops.asarray([[5, 0]], "int32")))
    np.testing.assert_array_equal(rows, expected[[[5, 0]]])


@pytest.mark.parametrize("kind", GGUF_KINDS)
def test_sizes_are_ggmls(kind: str) -> None:
    sizes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind.upper()]]
    assert sizes == (GGUF_KINDS[kind].numbers, GGUF_KINDS[kind].size)


@pytest.mark.parametrize("kind", [k for k, codes in CODES.items() if codes.levels])
def test_levels_are_taken_by_code(ops: Ops, kind: str) -> None:
    bits = CODES[kind].bits
    codes = np.arange(256, dtype=np.uint8)[None]
    width = 256 * 8 // bits
    scales = np.array([[1.5, -0.25]], np.float32)
    handle = ops.pack_blocks(Blocks(kind, (1, width), codes, scales), "float32")
    if bits == 4:
        numbers = [n for byte in range(256) for n in (byte & 15, byte >> 4)]
    else:
        numbers = list(range(256))
    levels = np.array(CODES[kind].levels, np.float32)[numbers]
    expected = levels.reshape(2, -1) * scales.T
    np.testing.assert_array_equal(np.asarray(ops.unpack_linear(handle)).reshape(2, -1), expected)


@pytest.mark.parametrize("name", ["e4m3", "e5m2"])
def test_small_floats_are_the_library_s(name: str) -> None:
    import ml_dtypes

    dtype = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2}[name]
    expected = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
    np.testing.assert_array_equal(np.array(CODES[name].levels, np.float32), expected)


@pytest.mark.parametrize("rows", [1, 3, 40])
def test_products_slab_by_slab_are_the_whole(
    ops: Ops, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = stored("q8_0", 11, 2)
    x = np.random.default_rng(3).normal(size=(2, rows, 64)).astype(np.float32)
    a = np.random.default_rng(4).normal(size=(3, 64)).astype(np.float32)
    b = np.random.default_rng(5).normal(size=(11, 3)).astype(np.float32)
    handle, bias = ops.pack_blocks(weight, "float32"), np.arange(11, dtype=np.float32)
    numbers = np.asarray(ops.unpack_linear(handle), np.float64)
    expected = x @ numbers.T + bias + x.astype(np.float64) @ a.T @ b.T
    monkeypatch.setattr("lmkernel.composed.blocks._SLAB", 3 * 64)  # three rows, and two are left
    found = np.asarray(ops.linear(x, handle, bias, (a, b)))
    # a sum of n products is off by n ulps of the sum of their sizes at most (Higham, eq. 3.5)
    sizes = np.abs(x) @ np.abs(numbers).T + np.abs(x) @ np.abs(a).T @ np.abs(b).T + bias
    assert (np.abs(found - expected) <= 70 * 2.0**-24 * sizes).all()


def test_memory_is_that_of_the_bits(ops: Ops) -> None:
    weight = stored("q4_k", 16, 8)
    [arrays] = ops.pack_blocks(weight, "float32").values()
    assert sum(np.asarray(x).nbytes for x in arrays) == weight.nbytes == 16 * 8 * 144
