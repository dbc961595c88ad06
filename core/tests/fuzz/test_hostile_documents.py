"""Documents and headers that broke a reader once, each of a kind; and what is no file at all."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fuzzing.models import load, write_model

from lmkernel.checkpoints.directory import open_model
from lmkernel.checkpoints.json_files import parse_object, read_object
from lmkernel.checkpoints.safetensors import SafetensorsFile, SafetensorsShards
from lmkernel.errors import CheckpointError, LmkernelError
from lmkernel.settings.file import load_settings
from lmkernel.sources.resolve import find_model
from lmkernel.training.data.readers import open_rows

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = "x" * 300


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_model(tmp_path / "model")
    return tmp_path / "model"


def tensors(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


# documents

DOCUMENTS = {
    "deep lists": (b'{"a": ' + b"[" * 101 + b"]" * 101 + b"}", "nested over 100 deep"),
    "deeper than the stack": (b'{"a":' * 100_000, "nested over 100 deep"),
    "many digits": (b'{"a": ' + b"9" * 5000 + b"}", "a number of 5000 digits"),
    "more than a float": (b'{"a": 1' + b"0" * 400 + b"}", "a number of 401 digits"),
    "an exponent": (b'{"a": 1e400}', "the number 1e400, larger than any float"),
    "a lone surrogate": (b'{"a": "\\ud800"}', r"the lone surrogate U\+D800"),
    "a lone surrogate as a name": (b'{"\\udc00": 1}', r"the lone surrogate U\+DC00"),
    "a name twice": (b'{"a": {"b": 1, "b": 2}}', "the name 'b' is there twice"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "Unexpected UTF-8 BOM"),
    "two documents": (b"{} {}", "Extra data at character 4"),
    "ten million values": (b'{"a": [' + b"," * 10_000_001, "at most 10000000 values"),
    "two million objects": (b'{"a": [' + b"{}," * 2_000_001, "at most 10000000 values"),
    "four million names": (b"{" + b'"a":1,' * 4_000_000, "at most 10000000 values"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_that_are_refused(name: str) -> None:
    data, complaint = DOCUMENTS[name]
    with pytest.raises(CheckpointError, match=f"^there: expected .*{complaint}"):
        parse_object(data, "there")


def test_documents_that_are_taken() -> None:
    pair = b'{"a": "\\ud83d\\ude00", "b": NaN, "c": -Infinity, "d": "\\u0000", "e": '
    deep = b"[" * 99 + b"]" * 99 + b', "f": ' + b"9" * 308 + b"}"
    found = parse_object(pair + deep, "there")
    assert found["a"] == "\N{GRINNING FACE}"
    assert np.isnan(found["b"])
    assert (found["c"], found["d"]) == (float("-inf"), "\0")
    assert float(found["f"]) < float("inf")


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "9" * 5000,
        "a = 0x" + "f" * 4000,
        "a = " + "[" * 120 + "]" * 120,
        ".".join("a" * 200) + " = 1",
        "a = '''",
    ],
)
def test_settings_with_lying_numbers_or_deep_tables_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(LmkernelError, match=r"x\.toml.*expected TOML"):
        load_settings(tmp_path / "x.toml")


# safetensors and their index

HEADERS: dict[str, tuple[Any, str]] = {
    "dtype a list": ({"dtype": ["F32"], "shape": [1]}, "expected a dtype among"),
    "dtype an object": ({"dtype": {"a": 1}, "shape": [1]}, "expected a dtype among"),
    "a product of thousands of digits": ({"shape": [10**300] * 60}, "is that of no array"),
    "an empty one too": ({"shape": [0] + [10**300] * 60}, "is that of no array"),
    "65 axes": ({"shape": [1] * 65}, "is that of no array"),
    "more than can be counted": ({"shape": [2**60]}, "is that of no array"),
    "a shape of floats": ({"shape": [1.0]}, "expected dtype, shape and two data_offsets"),
    "offsets of thousands of digits": ({"data_offsets": [0, 10**300]}, r"needs 4 bytes"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_m8_headers_of_safetensors_are_refused_by_name(tmp_path: Path, name: str) -> None:
    entry, complaint = HEADERS[name]
    sound = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    path = tensors(tmp_path / "x.safetensors", {"t": {**sound, **entry}}, bytes(4))
    with pytest.raises(CheckpointError, match=rf"x\.safetensors: tensor 't'.*{complaint}"):
        SafetensorsFile(path)


def test_a_header_of_too_many_tensors_is_refused(tmp_path: Path) -> None:
    entry = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    path = tensors(tmp_path / "x", dict.fromkeys(map(str, range(250_001)), entry), b"")
    with pytest.raises(CheckpointError, match="expected at most 250000 tensors, got 250001"):
        SafetensorsFile(path)


def test_a_file_that_python_would_hold_fourfold_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(81 * 2**20)
    with pytest.raises(CheckpointError, match=r"x\.json: expected at most 83886080 bytes"):
        read_object(tmp_path / "x.json", required=True)


def test_m8_64_axes_are_read(tmp_path: Path) -> None:
    header = {"t": {"dtype": "F32", "shape": [1] * 64, "data_offsets": [0, 4]}}
    file = SafetensorsFile(tensors(tmp_path / "x", header, bytes(4)))
    assert file.read("t").ndim == 64


@pytest.mark.parametrize(
    "shard", ["a\0b", LONG, "é" * 200, "loop", "sub/" + LONG, "\x1b[2J", "/" * 5000 + "a"]
)
def test_m9_shards_with_impossible_names_are_missing(tmp_path: Path, shard: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"t": shard}}))
    with pytest.raises(CheckpointError, match=r"index\.json: shard .* (is missing|lies outside)"):
        SafetensorsShards(path)


def test_m9_a_lone_surrogate_in_an_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text('{"weight_map": {"t": "\\udcff"}}')
    with pytest.raises(CheckpointError, match=r"index\.json: .*lone surrogate"):
        SafetensorsShards(path)


def test_an_index_of_many_tensors_is_read_in_one_pass(tmp_path: Path) -> None:
    header = {
        f"t{n}": {"dtype": "U8", "shape": [1], "data_offsets": [n, n + 1]} for n in range(30_000)
    }
    tensors(tmp_path / "one", header, bytes(30_000))
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": dict.fromkeys(header, "one")}))
    assert len(SafetensorsShards(path).names()) == 30_000  # minutes, if each name costs a pass


# what is no file, and names that are none

MODEL_FILES = ("config.json", "model.safetensors", "generation_config.json", "tokenizer.json")


@pytest.mark.parametrize("name", MODEL_FILES)
@pytest.mark.parametrize("kind", ["pipe", "zeros", "folder", "loop"])
def test_what_is_no_file_is_refused_in_place_of_a_models_file(
    model: Path, name: str, kind: str
) -> None:
    path = model / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "zeros" else path)
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        _ = load(model).tokenizer


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "a.parquet", "a.toml"])
def test_a_pipe_of_data_or_settings_is_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(LmkernelError, match="expected a regular file, got a pipe"):
        load_settings(tmp_path / name) if name == "a.toml" else list(open_rows(tmp_path / name))


@pytest.mark.parametrize(
    "name", [LONG, "a\0b", f"{LONG}/x", f"{LONG}.gguf", "loop", "/" + "é" * 200]
)
def test_names_that_no_system_has_are_those_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    openers: tuple[Callable[[str], object], ...] = (
        open_model,
        find_model,
        load_settings,
        open_rows,
    )
    for opener in openers:
        with pytest.raises(LmkernelError):
            list(opener(name))  # type: ignore[call-overload]  # rows are read when asked for
