"""Packing fuses siblings, without a copy where memory has them side by side."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import numpy as np
from small import small_config, values_of

from lmkernel.backend import load_backend
from lmkernel.model import Model
from lmkernel.parameters import flatten, fuse_rows, nest

if TYPE_CHECKING:
    from pathlib import Path


def map_numbers(path: Path, count: int) -> np.ndarray:
    path.write_bytes(np.arange(count, dtype=np.float32).tobytes())
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return np.frombuffer(memory, np.float32)


def test_neighbours_in_a_map_become_a_view(tmp_path: Path) -> None:
    whole = map_numbers(tmp_path / "w", 20)
    a, b = whole[:8].reshape(2, 4), whole[8:20].reshape(3, 4)
    fused = fuse_rows([a, b])
    assert fused.tolist() == np.arange(20).reshape(5, 4).tolist()
    assert np.shares_memory(fused, whole)


def test_others_are_copied(tmp_path: Path) -> None:
    whole = map_numbers(tmp_path / "w", 20)
    a, b = whole[:8].reshape(2, 4), whole[12:20].reshape(2, 4)
    fused = fuse_rows([a, b])
    assert fused[2:].tolist() == b.tolist()
    assert not np.shares_memory(fused, whole)
    apart = [np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)]
    assert fuse_rows(apart).tolist() == [[0, 0], [1, 1]]


def test_packed_and_placed_give_the_same() -> None:
    backend = load_backend()
    model = Model(backend, small_config())
    values = values_of(model)
    packed, placed = model.pack(values), model.place(values)
    assert set(packed["decoder"]["layers"][0]["attention"]) == {"qkv", "o"}
    assert set(packed["decoder"]["layers"][0]["mlp"]) == {"gate_up", "down"}
    with backend.scope():
        tokens = backend.ops.asarray([[3, 9, 27, 20]], "int32")
        outs = [backend.ops.to_numpy(model.forward(p, tokens)) for p in (packed, placed)]
    np.testing.assert_allclose(outs[0], outs[1], rtol=0, atol=1e-4)


def test_names_and_trees_invert_each_other() -> None:
    tree = {"a": [{"b": 1}, {"b": 2}], "c": {"d": 3}}
    flat = flatten(tree)
    assert flat == {"a.0.b": 1, "a.1.b": 2, "c.d": 3}
    assert nest(tree, flat) == tree
