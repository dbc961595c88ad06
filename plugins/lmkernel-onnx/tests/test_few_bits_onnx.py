"""Weights of few bits on ONNX Runtime: which products they become, and that these are exact."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import lmkernel_onnx.tracing
import numpy as np
import onnx
import onnxruntime
import pytest
from lmkernel_onnx.exporting import export
from lmkernel_onnx.few_bits import PackedCodes
from small_families import small_llama

import lmkernel as lk
from lmkernel.backend import Backend, load_backend
from lmkernel.composed import assemble
from lmkernel.parameters.quantising import fitting, quantise

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.contract.blocks import Blocks

SCHEMES = (
    "int4",
    "int4,group=128",
    "int4,group=64,asymmetric",
    "int8",
    "int8,group=32",
    "int8,group=32,asymmetric",
)


@pytest.fixture
def backend() -> Backend:
    return load_backend("onnx")


def blocks(scheme: str, out: int = 7, width: int = 384) -> Blocks:
    weight = np.random.default_rng(3).standard_normal((out, width)).astype(np.float32)
    return quantise(weight, fitting(scheme), "weight")[0]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_numbers_are_the_compositions(backend: Backend, scheme: str) -> None:
    handle, plain = blocks(scheme), load_backend("numpy").ops
    packed = backend.ops.pack_blocks(handle, "float32")
    assert type(packed) is PackedCodes
    numbers = plain.unpack_linear(plain.pack_blocks(handle, "float32"))
    assert np.array_equal(backend.ops.unpack_linear(packed), numbers)
    indices = np.array([[6, 0], [3, 3]], np.int32)
    assert np.array_equal(backend.ops.take_rows(packed, indices), numbers[indices])


@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_products_keep_float32(backend: Backend, scheme: str, rows: int) -> None:
    packed = backend.ops.pack_blocks(blocks(scheme), "float32")
    x = np.random.default_rng(4).standard_normal((2, rows, 384)).astype(np.float32)
    bias = np.arange(7, dtype=np.float32)
    numbers = backend.ops.unpack_linear(packed).astype(np.float64)
    y = backend.ops.linear(x, packed, bias)
    # n summands in float32 are off by n units of the sum of their sizes at most; two planes make
    # the summands of eight bits twice as many
    sizes = np.abs(x.astype(np.float64)) @ np.abs(numbers).T
    most = 2 * 384**0.5 * np.finfo(np.float32).eps * (sizes + np.abs(bias))
    assert (np.abs(y - (x @ numbers.T + bias)) <= most).all()


def test_other_weights_keep_the_composition(backend: Backend) -> None:
    odd = blocks("int8", width=33)  # no block divides its rows
    assert type(backend.ops.pack_blocks(odd, "float32")) is dict
    assert type(backend.ops.pack_blocks(blocks("int4"), "float64")) is dict


def test_words_are_shifted(backend: Backend) -> None:
    words = np.array([-1, 0x12345678, -0x12345679], np.int32)
    plain = assemble(load_backend("numpy").ops, {}).unpack_bits  # type: ignore[arg-type]  # it has the mandatory tier
    assert np.array_equal(backend.ops.unpack_bits(words, 4), plain(words, 4))


def test_a_weight_is_freed_with_its_programs(backend: Backend) -> None:
    packed = backend.ops.pack_blocks(blocks("int4"), "float32")
    codes = weakref.ref(packed._planes[0].codes)
    backend.ops.linear(np.ones((1, 384), np.float32), packed)
    del packed
    gc.collect()
    assert codes() is None


def test_few_programs_with_weights_are_kept(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lmkernel_onnx.tracing, "_HEAVY", 1)
    packed = backend.ops.pack_blocks(blocks("int4"), "float32")
    counts: list[int] = []

    def f(x: np.ndarray) -> np.ndarray:
        counts.append(x.shape[0])
        return backend.ops.linear(x, packed)

    compiled = backend.ops.compile(f)
    for rows in (1, 2, 3, 4, 1, 5, 1, 2):
        compiled(np.ones((rows, 384), np.float32))
    assert counts == [1, 2, 3, 4, 5, 2]  # one was used between, two was forgotten


@pytest.mark.parametrize("weights", ["int4", "int8"])
def test_an_exported_model_has_products_of_few_bits(tmp_path: Path, weights: str) -> None:
    folder = small_llama(tmp_path / "model", hidden_size=64, head_dim=16, intermediate_size=96)
    made = export(folder, tmp_path / "model.onnx", weights=weights, progress=False)
    operators = [each.op_type for each in onnx.load(made.path).graph.node]
    assert operators.count("MatMulNBits") >= 8
    model = lk.load(folder, backend="numpy", weights=weights, progress=False)
    ids = np.array([[5, 17, 3, 44]])
    session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    past = {
        x.name: np.zeros((1, x.shape[1], 0, x.shape[3]), np.float32)
        for x in session.get_inputs()[2:]
    }
    logits = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids), **past})[0]
    with model.backend:
        wanted = model.model.forward(model.params, ids.astype(np.int32))
    most = 64 * np.finfo(np.float32).eps * np.abs(wanted).max()
    assert np.abs(logits - wanted).max() < most
