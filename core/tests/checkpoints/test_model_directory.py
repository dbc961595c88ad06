"""Directories are read, written whole or not at all, and made from GGUF files."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pytest
from gguf_samples import write_gguf
from safetensors.numpy import load_file

from lmkernel.checkpoints import convert_gguf, open_model, read_directory, write_directory
from lmkernel.checkpoints.safetensors_writer import _Shard
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = {"model_type": "llama", "hidden_size": 2}


def tensors(value: float = 1.0) -> list[tuple[str, np.ndarray]]:
    return [("b", np.full(2, value, np.float32)), ("a", np.full((1, 2), value, np.float32))]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    generation = {"eos_token_id": [2, 3]}
    path = tmp_path / "parent" / "model"
    write_directory(path, config=CONFIG, tensors=tensors(), generation_config=generation)
    model = open_model(path)
    assert model.path == path
    assert model.config == {**CONFIG, "torch_dtype": "float32"}
    assert model.generation_config == generation
    assert model.tensors.names() == ("b", "a")
    np.testing.assert_array_equal(model.tensors.read("a"), [[1, 1]])


def test_shards_are_read_back(tmp_path: Path) -> None:
    write_directory(tmp_path / "m", config=CONFIG, tensors=tensors(), shard_bytes=8)
    assert (tmp_path / "m" / "model.safetensors.index.json").exists()
    assert open_model(tmp_path / "m").tensors.names() == ("b", "a")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_says_so_in_the_configuration(tmp_path: Path, dtype: str) -> None:
    write_directory(tmp_path / "m", config=CONFIG, tensors=tensors(), dtype=dtype)
    model = open_model(tmp_path / "m")
    assert (model.config["torch_dtype"], model.tensors.dtype("a")) == (dtype, dtype)


def test_occupied_directory_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "precious").write_text("x")
    with pytest.raises(CheckpointError, match="is there already and not empty"):
        write_directory(tmp_path / "m", config=CONFIG, tensors=tensors())
    assert content(tmp_path / "m") == {"precious": b"x"}


def test_empty_directory_is_taken_and_overwrite_replaces(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    write_directory(tmp_path / "m", config=CONFIG, tensors=tensors(1))
    write_directory(tmp_path / "m", config=CONFIG, tensors=tensors(2), overwrite=True)
    assert open_model(tmp_path / "m").tensors.read("b")[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def tensors_then_interrupt() -> Iterator[tuple[str, np.ndarray]]:
    yield from tensors(2)
    raise KeyboardInterrupt


@pytest.mark.parametrize("there", [True, False])
def test_interrupt_leaves_what_was_there(tmp_path: Path, *, there: bool) -> None:
    if there:
        write_directory(tmp_path / "m", config=CONFIG, tensors=tensors(1))
    before = content(tmp_path / "m") if there else {}
    with pytest.raises(KeyboardInterrupt):
        write_directory(
            tmp_path / "m", config=CONFIG, tensors=tensors_then_interrupt(), overwrite=True
        )
    assert [path.name for path in tmp_path.iterdir()] == (["m"] if there else [])
    assert (content(tmp_path / "m") if there else {}) == before


def full(*_: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["write", "fsync", "rename"])
def test_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    write_directory(tmp_path / "m", config=CONFIG, tensors=tensors(1))
    before = content(tmp_path / "m")
    if where == "write":
        monkeypatch.setattr(_Shard, "close", full)
    elif where == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr("lmkernel.atomic.write.exchange", full)
    with pytest.raises(CheckpointError, match="cannot be written: No space left"):
        write_directory(tmp_path / "m", config=CONFIG, tensors=tensors(2), overwrite=True)
    assert content(tmp_path / "m") == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_place_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_directory(tmp_path / "file" / "m", config=CONFIG, tensors=tensors())


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"config\.json: cannot be read: No such file"),
        ({"config.json": "[1]"}, r"config\.json: expected a JSON object, got list"),
        ({"config.json": "{,}"}, r"config\.json: expected a JSON object"),
        ({"config.json": "{}"}, r"expected model\.safetensors"),
        ({"config.json": "{}", "pytorch_model.bin": "x"}, r"pytorch_model\.bin.*never loads"),
        ({"config.json": "{}", "weights.pt": "x"}, r"weights\.pt.*convert it to safetensors"),
        ({"config.json": "{}", "model.safetensors": ""}, r"model\.safetensors: the file is empty"),
    ],
)
def test_directory_that_is_no_model_is_refused(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        read_directory(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("gone", None, "no such directory or file"),
        ("x.safetensors", b"", "expected the directory"),
        ("x.pt", b"PK\x03\x04....", "never loads"),
        ("x.ckpt", b"anything", "never loads"),
        ("x.bin", b"\x80\x04whatever", "never loads"),
        ("x.txt", b"some text", "not a GGUF file"),
    ],
)
def test_file_that_is_no_model_is_refused(
    tmp_path: Path, name: str, data: bytes | None, message: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        open_model(tmp_path / name)


def test_directory_without_tokenizer_says_so_when_asked(tmp_path: Path) -> None:
    write_directory(tmp_path / "m", config=CONFIG, tensors=tensors())
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        open_model(tmp_path / "m").tokenizer()


def test_gguf_becomes_a_directory_with_the_same_model(tmp_path: Path) -> None:
    steps: list[int] = []
    source = write_gguf(tmp_path / "x.gguf")
    convert_gguf(source, tmp_path / "m", steps.append)
    ours, theirs = open_model(tmp_path / "m"), open_model(source)
    assert ours.config == theirs.config
    assert ours.generation_config == theirs.generation_config
    assert ours.tensors.names() == theirs.tensors.names()
    for name, array in load_file(tmp_path / "m" / "model.safetensors").items():
        np.testing.assert_array_equal(array, theirs.tensors.read(name))
    assert sum(steps) == sum(theirs.tensors.read(n).nbytes for n in theirs.tensors.names())
    ours, theirs = ours.tokenizer(), theirs.tokenizer()
    assert ours.encode("hell 12<|end|>") == theirs.encode("hell 12<|end|>")
    assert ours.eos_ids == theirs.eos_ids == (260, 261)
    assert ours.chat([{"role": "user", "content": "x"}]) == "x<|end|>"
    written = json.loads((tmp_path / "m" / "tokenizer_config.json").read_text())
    assert {"<|end|>", ours.chat_template} <= set(map(str, written.values()))


def test_opening_a_directory_imports_nothing_heavy(tmp_path: Path) -> None:
    write_directory(tmp_path / "m", config=CONFIG, tensors=tensors())
    code = (
        "import sys; from lmkernel.checkpoints import open_model; "
        "m = open_model(sys.argv[1]); [m.tensors.read(n) for n in m.tensors.names()]; "
        "heavy = {'gguf', 'jinja2', 'tokenizers', 'huggingface_hub', 'safetensors', 'torch'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "m"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
