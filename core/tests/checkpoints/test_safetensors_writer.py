"""What is written keeps its order, opens elsewhere, and never needs all tensors at once."""

from __future__ import annotations

import json
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from lmkernel.checkpoints.dtypes import narrow
from lmkernel.checkpoints.safetensors import SafetensorsFile, SafetensorsShards
from lmkernel.checkpoints.safetensors_writer import write_safetensors
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHOLE = {"dtype": "float32", "shard_bytes": 10**9}


def numbered_tensors(*names: str) -> list[tuple[str, np.ndarray]]:
    return [(name, np.full((2, 3), i, np.float32)) for i, name in enumerate(names)]


def test_order_given_is_the_order_in_the_file(tmp_path: Path) -> None:
    names = ("z.q", "z.k", "a.v", "m")
    write_safetensors(tmp_path, numbered_tensors(*names), **WHOLE)
    file = SafetensorsFile(tmp_path / "model.safetensors")
    assert file.names() == names
    q, k = file.read("z.q"), file.read("z.k")
    assert k.ctypes.data == q.ctypes.data + q.nbytes


def test_data_starts_at_a_multiple_of_64(tmp_path: Path) -> None:
    write_safetensors(tmp_path, numbered_tensors("a"), **WHOLE)
    header = int.from_bytes((tmp_path / "model.safetensors").read_bytes()[:8], "little")
    assert (8 + header) % 64 == 0
    assert SafetensorsFile(tmp_path / "model.safetensors").read("a").ctypes.data % 64 == 0


def test_the_library_reads_what_is_written(tmp_path: Path) -> None:
    tensors = {
        "f": np.arange(6.0).reshape(2, 3),
        "i": np.array([1, 2], np.int64),
        "t": np.array([[True]]),
        "e": np.zeros((0, 2), np.float32),
        "strided": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        'na"me é': np.ones(1, np.float32),
    }
    write_safetensors(tmp_path, tensors.items(), **WHOLE)
    loaded = load_file(tmp_path / "model.safetensors")
    assert loaded.keys() == tensors.keys()
    assert loaded["f"].dtype == np.float32
    assert loaded["i"].dtype == np.int64
    for name, array in tensors.items():
        np.testing.assert_array_equal(loaded[name], array)
    with safe_open(tmp_path / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_bfloat16_is_rounded_to_nearest_even(tmp_path: Path) -> None:
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8, -7.3], np.float32)
    write_safetensors(tmp_path, [("a", values)], dtype="bfloat16", shard_bytes=10**9)
    file = SafetensorsFile(tmp_path / "model.safetensors")
    assert file.dtype("a") == "bfloat16"
    np.testing.assert_array_equal(narrow(file.read("a")), narrow(values))
    np.testing.assert_array_equal(file.read("a")[:2], [1.0, 1 + 2**-6])


def test_large_tensor_is_written_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmkernel.checkpoints.safetensors_writer._BLOCK", 4)
    values, steps = np.arange(10, dtype=np.float32), list[int]()
    write_safetensors(tmp_path, [("a", values)], **WHOLE, progress=steps.append)
    assert steps == [16, 16, 8]
    np.testing.assert_array_equal(SafetensorsFile(tmp_path / "model.safetensors").read("a"), values)


def test_shards_hold_their_share_and_an_index(tmp_path: Path) -> None:
    write_safetensors(tmp_path, numbered_tensors("d", "c", "b"), dtype="float32", shard_bytes=50)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    index = json.loads((tmp_path / files[2]).read_text())
    assert index["metadata"] == {"total_size": 72}
    assert index["weight_map"] == {"d": files[0], "c": files[0], "b": files[1]}
    assert SafetensorsShards(tmp_path / files[2]).names() == ("d", "c", "b")


def test_tensor_larger_than_a_shard_has_one_to_itself(tmp_path: Path) -> None:
    write_safetensors(tmp_path, numbered_tensors("a", "b"), dtype="float32", shard_bytes=1)
    assert set(load_file(tmp_path / "model-00002-of-00002.safetensors")) == {"b"}


def test_header_that_outgrows_its_room_begins_a_shard(tmp_path: Path) -> None:
    names = [f"{i:0>40000}" for i in range(4)]
    write_safetensors(tmp_path, numbered_tensors(*names), **WHOLE)
    assert SafetensorsShards(tmp_path / "model.safetensors.index.json").names() == tuple(names)


def test_one_tensor_at_a_time_is_alive(tmp_path: Path) -> None:
    alive: list[weakref.ref[Any]] = []

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        for i in range(5):
            assert sum(ref() is not None for ref in alive) <= 1
            array = np.ones(4, np.float32)
            alive.append(weakref.ref(array))
            yield f"t{i}", array

    write_safetensors(tmp_path, tensors(), **WHOLE)
    assert len(alive) == 5


@pytest.mark.parametrize(
    ("tensors", "dtype", "message"),
    [
        ([("a", np.ones(1))], "int8", "expected a dtype among float32, bfloat16, float16"),
        ([("a", np.ones(1)), ("a", np.ones(1))], "float32", "'a' is given twice"),
        ([("a", np.array([70000.0]))], "float16", "'a': a value is too large for float16"),
        ([("a", np.ones(1, np.complex64))], "float32", "'a' has the dtype 'complex64'"),
        ([("x" * 200_000, np.ones(1))], "float32", "name of 200000 is too long"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, tensors: list[tuple[str, np.ndarray]], dtype: str, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        write_safetensors(tmp_path, tensors, dtype=dtype, shard_bytes=10**9)
