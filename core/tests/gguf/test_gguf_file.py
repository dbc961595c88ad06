"""The container of a GGUF file is read whole, or refused by name."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest
from gguf_samples import EPSILON, HIDDEN, WORDS, weights, write_gguf

from lmkernel.errors import CheckpointError
from lmkernel.gguf.file import GgufFile

if TYPE_CHECKING:
    from pathlib import Path


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def header(tensors: int = 0, pairs: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs)


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    axes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + axes + struct.pack("<IQ", kind, offset)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "small.gguf")


def test_metadata_of_every_kind(tmp_path: Path) -> None:
    values = {"a.b": True, "a.i": 7, "a.f": 0.5, "a.s": "é", "a.n": [1, 2], "a.t": ["x", "y"]}
    file = GgufFile(write_gguf(tmp_path / "x.gguf", change=values))
    assert {key: file.metadata[key] for key in values} == values


def test_arrays_of_all_metadata_are_bounded_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmkernel.gguf.file._MOST_ITEMS", 5)
    array = struct.pack("<IIQ", 9, 0, 3) + bytes(3)  # three numbers of one byte
    (tmp_path / "x.gguf").write_bytes(header(pairs=2) + text("a") + array + text("b") + array)
    with pytest.raises(CheckpointError, match=r"'b': expected at most 2 items, got 3"):
        GgufFile(tmp_path / "x.gguf")


def test_more_tensors_or_metadata_than_any_model_has_are_refused(tmp_path: Path) -> None:
    for tensors, pairs in ((100_001, 0), (0, 100_001)):
        start = header(tensors=tensors, pairs=pairs)
        (tmp_path / "x.gguf").write_bytes(start + bytes(24 * 100_001))
        with pytest.raises(CheckpointError, match="expected at most 100000 tensors and metadata"):
            GgufFile(tmp_path / "x.gguf")


def test_float32_comes_as_its_shortest_decimal(small: Path) -> None:
    metadata = GgufFile(small).metadata
    assert metadata["llama.attention.layer_norm_rms_epsilon"] == EPSILON
    assert metadata["llama.rope.freq_base"] == 500000.0


def test_the_packages_reader_agrees(small: Path) -> None:
    theirs, ours = gguf.GGUFReader(small), GgufFile(small)
    assert list(ours.tensors) == [t.name for t in theirs.tensors]
    for t in theirs.tensors:
        np.testing.assert_array_equal(ours.data(t.name), t.data.reshape(-1).view(np.uint8))
    own = {k: f.contents() for k, f in theirs.fields.items() if not k.startswith("GGUF.")}
    assert list(ours.metadata) == list(own)
    assert ours.metadata["tokenizer.ggml.tokens"] == own["tokenizer.ggml.tokens"]


def test_data_are_views_into_one_map(small: Path) -> None:
    file = GgufFile(small)
    assert file.tensors["token_embd.weight"].shape == (WORDS, HIDDEN)
    assert np.shares_memory(file.data("token_embd.weight"), file.data("token_embd.weight"))


@pytest.mark.parametrize("share", [0.0001, 0.02, 0.1, 0.5, 0.999])
def test_truncated_file_is_refused(small: Path, share: float) -> None:
    data = small.read_bytes()
    small.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match=r"small\.gguf: .*(truncated|not a GGUF)"):
        GgufFile(small)


PAIR = text("k") + struct.pack("<I", 4) + struct.pack("<I", 1)
HUGE = 2**62
DAMAGED = {
    "empty": (b"", "the file is empty"),
    "text": (b"hello, world", "expected the magic"),
    "zip": (b"PK\x03\x04" + bytes(50), "pickle"),
    "version 1": (header(version=1), "expected GGUF version 2 or 3, got 1"),
    "version 9": (header(version=9), "expected GGUF version 2 or 3, got 9"),
    "big endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "pairs claimed": (header(pairs=HUGE), f"a header of {HUGE} metadata pairs needs"),
    "tensors claimed": (header(tensors=HUGE), f"a header of {HUGE} tensors needs"),
    "key claimed": (header(pairs=1) + struct.pack("<Q", HUGE) + bytes(20), "a metadata key needs"),
    "string claimed": (
        header(pairs=1) + text("k") + struct.pack("<IQ", 8, HUGE),
        "metadata 'k' needs",
    ),
    "strings claimed": (
        header(pairs=1) + text("k") + struct.pack("<IIQ", 9, 8, HUGE),
        f"metadata 'k', {HUGE} strings, needs",
    ),
    "numbers claimed": (
        header(pairs=1) + text("k") + struct.pack("<IIQ", 9, 4, HUGE),
        f"metadata 'k', {HUGE} values, needs",
    ),
    "value type": (
        header(pairs=1) + text("k") + struct.pack("<I", 77) + bytes(8),
        "metadata 'k' has the unknown value type 77",
    ),
    "array of arrays": (
        header(pairs=1) + text("k") + struct.pack("<IIQ", 9, 9, 1),
        "metadata 'k' is an array of the unsupported value type 9",
    ),
    "not UTF-8": (
        header(pairs=1) + text("k") + struct.pack("<IQ", 8, 1) + b"\xff",
        "metadata 'k' is not UTF-8",
    ),
    "key twice": (header(pairs=2) + PAIR + PAIR, "metadata 'k' is there twice"),
    "alignment": (
        header(pairs=1) + text("general.alignment") + struct.pack("<II", 4, 3),
        "general.alignment: expected a power of two, got 3",
    ),
    "axes": (
        header(tensors=1) + text("t") + struct.pack("<I", 9) + bytes(100),
        "tensor 't': expected at most 4 axes, got 9",
    ),
    "tensor twice": (
        header(tensors=2) + tensor("t", (1,)) * 2 + bytes(64),
        "tensor 't' is there twice",
    ),
    "data outside": (
        header(tensors=1) + tensor("t", (4,), offset=HUGE) + bytes(64),
        "tensor 't' ends at byte",
    ),
    "data too large": (
        header(tensors=1) + tensor("t", (HUGE, HUGE)) + bytes(64),
        "tensor 't' ends at byte",
    ),
    "quantisation": (
        header(tensors=1) + tensor("t", (4,), kind=999) + bytes(64),
        "tensor 't' has the unknown quantisation type 999",
    ),
    "block": (
        header(tensors=1) + tensor("t", (33,), kind=2) + bytes(64),
        "tensor 't': rows of .33,. are no multiple of Q4_0's block of 32",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_file_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    data, message = DAMAGED[damage]
    path = tmp_path / "broken.gguf"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"broken\.gguf: .*{message}"):
        GgufFile(path)


def test_every_flipped_byte_of_a_header_is_read_or_refused(tmp_path: Path) -> None:
    path = write_gguf(
        tmp_path / "x.gguf", tensors={"output_norm.weight": weights()["output_norm.weight"]}
    )
    data = bytearray(path.read_bytes())
    refused = 0
    for at in [*range(64), *range(len(data) - 400, len(data) - 250)]:
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        try:
            GgufFile(path)
        except CheckpointError:
            refused += 1
    assert refused > 20
