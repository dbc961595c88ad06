"""Safetensors are read as views, and every damaged file is refused by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from lmkernel.checkpoints.dtypes import narrow
from lmkernel.checkpoints.safetensors import SafetensorsFile, SafetensorsShards
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


def entry(dtype: str, shape: list[int], start: int, stop: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def raw(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # as writers do, so that the data are aligned
    return len(text).to_bytes(8, "little") + text + data


def write_file(path: Path, header: object, data: bytes) -> Path:
    path.write_bytes(raw(header, data))
    return path


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Two float32 neighbours, b before a."""
    header = {"b": entry("F32", [2], 0, 8), "a": entry("F32", [1, 2], 8, 16)}
    return write_file(tmp_path / "x.safetensors", header, np.arange(4, dtype=np.float32).tobytes())


def test_tensors_have_shape_dtype_values_and_file_order(pair: Path) -> None:
    file = SafetensorsFile(pair)
    assert file.names() == ("b", "a")
    assert (file.shape("a"), file.dtype("a")) == ((1, 2), "float32")
    np.testing.assert_array_equal(file.read("a"), [[2, 3]])


def test_reading_is_a_view_into_one_map(pair: Path) -> None:
    file = SafetensorsFile(pair)
    first, second = file.read("b"), file.read("a")
    assert np.shares_memory(first, file.read("b", "float32"))
    assert second.ctypes.data - first.ctypes.data == first.nbytes
    assert first.flags.writeable


def test_writing_to_a_view_never_reaches_the_file(pair: Path) -> None:
    before = pair.read_bytes()
    SafetensorsFile(pair).read("b")[:] = 7
    assert pair.read_bytes() == before


def test_other_dtype_is_converted(pair: Path) -> None:
    assert SafetensorsFile(pair).read("a", "float64").dtype == np.float64


def test_bfloat16_widens_to_float32(tmp_path: Path) -> None:
    values = np.array([1.5, -2.25, 3e30], np.float32)
    data = narrow(values).tobytes()
    file = SafetensorsFile(write_file(tmp_path / "x", {"a": entry("BF16", [3], 0, 6)}, data))
    assert file.dtype("a") == "bfloat16"
    np.testing.assert_array_equal(file.read("a")[:2], [1.5, -2.25])
    np.testing.assert_allclose(file.read("a"), values, rtol=2**-8)


def test_neighbour_of_odd_size_leaves_values_aligned_and_right(tmp_path: Path) -> None:
    header = {"a": entry("U8", [3], 0, 3), "b": entry("F64", [1], 3, 11)}
    data = b"\1\2\3" + np.array([1.25]).tobytes()
    values = SafetensorsFile(write_file(tmp_path / "x", header, data)).read("b")
    assert values.flags.aligned
    assert values[0] == 1.25


@pytest.mark.parametrize(
    "dtype", ["float64", "float16", "int64", "int8", "uint8", "uint32", "bool"]
)
def test_files_of_the_library_are_read(tmp_path: Path, dtype: str) -> None:
    array = np.array([[0, 1], [1, 0]]).astype(dtype)
    save_file({"a": array, "empty": np.zeros((0, 4), dtype)}, tmp_path / "x.safetensors")
    file = SafetensorsFile(tmp_path / "x.safetensors")
    assert file.dtype("a") == dtype
    assert file.shape("empty") == (0, 4)
    np.testing.assert_array_equal(file.read("a"), array)


def test_unknown_name_suggests_the_closest(tmp_path: Path) -> None:
    save_file({"model.norm.weight": np.ones(1)}, tmp_path / "x.safetensors")
    file = SafetensorsFile(tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"'model\.norm'.*closest is 'model\.norm\.weight'"):
        file.read("model.norm")


OK = entry("F32", [2], 0, 8)
DAMAGED = {
    "empty file": (b"", "the file is empty"),
    "too short": (b"\x02\0\0", "not a safetensors file"),
    "text": (b"this is no checkpoint at all", "not a safetensors file"),
    "zip": (b"PK\x03\x04" + bytes(100), "pickle"),
    "pickle": (b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.", "pickle"),
    "header too long": ((10**6).to_bytes(8, "little") + b"{}", "the header needs 1000000 bytes"),
    "header absurd": (b"\xff" * 8 + b"{}", "the header needs"),
    "header not JSON": (raw(b"{nonsense}", b""), "header: expected a JSON object"),
    "header not UTF-8": (raw(b'{"\xff": 1}', b""), "header: expected UTF-8"),
    "header nested": (raw(b'{"a":' + b"[" * 100_000, b""), "header: expected a JSON object"),
    "name twice": (raw(b'{"a": {}, "a": {}}', b""), "the name 'a' is there twice"),
    "truncated": (raw({"a": OK}, bytes(7)), "tensor 'a' ends at byte .* truncated"),
    "trailing": (raw({"a": OK}, bytes(9)), "1 bytes after the last tensor"),
    "outside": (raw({"a": entry("F32", [2], 800, 808)}, bytes(8)), "tensor 'a' leaves a hole"),
    "hole": (
        raw({"a": OK, "b": entry("F32", [1], 12, 16)}, bytes(16)),
        "tensor 'b' leaves a hole",
    ),
    "overlap": (raw({"a": OK, "b": entry("F32", [1], 4, 8)}, bytes(8)), "tensor 'b' overlaps"),
    "backwards": (raw({"a": entry("F32", [2], 8, 0)}, bytes(8)), "tensor 'a': shape"),
    "wrong size": (raw({"a": entry("F32", [3], 0, 8)}, bytes(8)), r"'a': shape \(3,\).*12 bytes"),
    "huge shape": (raw({"a": entry("F32", [2**62, 8], 0, 8)}, bytes(8)), "tensor 'a': shape"),
    "unknown dtype": (raw({"a": entry("Q9", [2], 0, 8)}, bytes(8)), "'a': expected a dtype.*'Q9'"),
    "quantised": (
        raw({"a": entry("F4_E2M1", [8], 0, 4)}, bytes(4)),
        "got 'F4_E2M1', of weights that are quantised",
    ),
    "negative shape": (
        raw({"a": entry("F32", [-2], 0, 8)}, bytes(8)),
        "'a': expected dtype, shape",
    ),
    "shape of text": (raw({"a": {**OK, "shape": ["2"]}}, bytes(8)), "'a': expected dtype, shape"),
    "shape of truth": (raw({"a": {**OK, "shape": [True]}}, bytes(8)), "expected dtype, shape"),
    "one offset": (raw({"a": {**OK, "data_offsets": [0]}}, bytes(8)), "two data_offsets"),
    "no fields": (raw({"a": 3}, b""), "'a': expected dtype, shape"),
    "header a list": (raw(b"[1]", b""), "not a safetensors file"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_file_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    data, message = DAMAGED[damage]
    path = tmp_path / "broken.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"broken\.safetensors.*{message}"):
        SafetensorsFile(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.safetensors: cannot be read: No such file"):
        SafetensorsFile(tmp_path / "gone.safetensors")
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        SafetensorsFile(tmp_path)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"a": np.ones(2)}, folder / "one.safetensors")
    save_file({"b": np.zeros(3)}, folder / "two.safetensors")
    return folder


def index(folder: Path, table: object) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": table}))
    return path


def test_shards_read_as_one(shards: Path) -> None:
    tensors = SafetensorsShards(index(shards, {"b": "two.safetensors", "a": "one.safetensors"}))
    assert set(tensors.names()) == {"a", "b"}
    assert (tensors.shape("b"), tensors.dtype("b")) == ((3,), "float64")
    np.testing.assert_array_equal(tensors.read("a"), [1, 1])


@pytest.mark.parametrize(
    ("shard", "message"),
    [
        ("../elsewhere.safetensors", "lies outside"),
        ("..\\elsewhere.safetensors", "lies outside"),
        ("link.safetensors", "lies outside"),
        ("three.safetensors", "'three.safetensors' is missing"),
        ("two.safetensors", "tensor 'a' is not in its shard 'two.safetensors'"),
    ],
)
def test_index_that_lies_is_refused(shards: Path, shard: str, message: str) -> None:
    outside = shards.parent / "elsewhere.safetensors"
    save_file({"a": np.ones(2)}, outside)
    (shards / "link.safetensors").symlink_to(outside)
    with pytest.raises(CheckpointError, match=message):
        SafetensorsShards(index(shards, {"a": shard}))


def test_index_with_an_absolute_path_is_refused(shards: Path) -> None:
    with pytest.raises(CheckpointError, match="lies outside"):
        SafetensorsShards(index(shards, {"a": str(shards / "one.safetensors")}))


@pytest.mark.parametrize("table", [None, ["a"], {"a": 1}])
def test_index_without_a_table_is_refused(shards: Path, table: object) -> None:
    with pytest.raises(CheckpointError, match="expected weight_map"):
        SafetensorsShards(index(shards, table))


def test_links_into_the_blobs_of_the_same_cached_model_are_followed(tmp_path: Path) -> None:
    blobs, revision = tmp_path / "model" / "blobs", tmp_path / "model" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    revision.mkdir(parents=True)
    save_file({"a": np.ones(2)}, blobs / "123")
    (revision / "one.safetensors").symlink_to(blobs / "123")
    assert SafetensorsShards(index(revision, {"a": "one.safetensors"})).names() == ("a",)


def cached_model(cache: Path, *, through: Path) -> Path:
    """A model in a cache, whose blob is a link to another place; returns its index."""
    blobs, revision = (cache / "models--a--b" / part for part in ("blobs", "snapshots/abc"))
    for folder in (blobs, revision, through.parent):
        folder.mkdir(parents=True, exist_ok=True)
    save_file({"a": np.ones(2)}, through)
    (blobs / "123").symlink_to(through)
    (revision / "one.safetensors").symlink_to(blobs / "123")
    return index(revision, {"a": "one.safetensors"})


def test_b13_links_on_into_the_blobs_of_the_whole_cache_are_followed(tmp_path: Path) -> None:
    made = cached_model(tmp_path / "hub", through=tmp_path / "hub" / "blobs" / "4f" / "4f56")
    assert SafetensorsShards(made).names() == ("a",)


@pytest.mark.parametrize("place", ["elsewhere/4f56", "blobs/4f56", "hub/models--c--d/blobs/4f56"])
def test_b13_links_on_to_anywhere_else_are_refused(tmp_path: Path, place: str) -> None:
    made = cached_model(tmp_path / "hub", through=tmp_path / place)
    with pytest.raises(CheckpointError, match="lies outside"):
        SafetensorsShards(made)
