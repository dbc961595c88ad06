"""T5's SentencePiece model becomes a tokenizer of the library."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lmkernel.errors import CheckpointError, MissingDependencyError
from lmkernel.tokenizers.load import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

PIECES = [("<pad>", 0.0, 3), ("</s>", 0.0, 3), ("<unk>", 0.0, 2), ("▁", -3.0, 1), ("▁the", -1.0, 1)]


class DecodeError(Exception):
    __module__ = "google.protobuf.message"


class ModelProto:
    """A model in JSON, where the library's is a message."""

    def ParseFromString(self, data: bytes) -> None:  # noqa: N802 - its name
        if not data.startswith(b"{"):
            raise DecodeError("truncated message")
        said = json.loads(data)
        self.pieces = [SimpleNamespace(piece=p, score=s, type=t) for p, s, t in said["pieces"]]
        self.trainer_spec = SimpleNamespace(model_type=said.get("kind", 1), unk_id=2)
        charsmap = bytes.fromhex(said.get("charsmap", ""))
        self.normalizer_spec = SimpleNamespace(precompiled_charsmap=charsmap)


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(ModelProto=ModelProto)
    monkeypatch.setitem(sys.modules, "sentencepiece.sentencepiece_model_pb2", found)  # type: ignore[arg-type]  # as a module


def written(folder: Path, config: dict[str, Any] | None = None, **said: Any) -> Path:
    (folder / "spiece.model").write_text(json.dumps({"pieces": PIECES, **said}))
    (folder / "tokenizer_config.json").write_text(json.dumps(config or {}))
    return folder


def test_its_pieces_and_blanks_have_its_ids(tmp_path: Path) -> None:
    made = load_tokenizer(written(tmp_path, {"extra_ids": 2}))
    assert made.encode("the the x") == [4, 4, 3, 2, 1]
    assert made.encode("<extra_id_0> the", special_tokens=False)[0] == 6
    assert made.decode([4, 4, 1]) == "the the"
    assert (made.vocab_size, made.eos_ids, made.pad_id) == (7, (1,), 0)


def test_a_damaged_table_of_characters_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, charsmap="08000000ffffffffffffffff")
    with pytest.raises(CheckpointError, match=r"spiece\.model: precompiled_charsmap: expected a"):
        load_tokenizer(tmp_path).encode("the")
    assert capfd.readouterr().err == ""


LISTED = {str(i): {"content": t, "special": True} for i, t in [(1, "</s>"), (6, "<extra_id_0>")]}


@pytest.mark.parametrize(
    ("config", "beside", "ids"),
    [
        # the ids are those that transformers 5.24 (T5Tokenizer) makes of the same files
        ({"additional_special_tokens": ["<q>"]}, {}, [4, 7, 4, 1]),
        ({"additional_special_tokens": ["<extra_id_0>", "<q>"]}, {}, [4, 7, 4, 1]),
        ({"added_tokens_decoder": {"7": {"content": "<q>"}}}, {}, [4, 7, 4, 1]),
        ({}, {"added_tokens": {"<q>": 7}}, [4, 7, 4, 1]),
        ({"bos_token": "<b>", "pad_token": "<q>"}, {}, [4, 8, 4, 1]),
        ({}, {"special_tokens_map": {"mask_token": "<q>"}}, [4, 7, 4, 1]),
    ],
)
def test_tokens_that_other_files_name_are_tokens(
    tmp_path: Path, config: dict[str, Any], beside: dict[str, Any], ids: list[int]
) -> None:
    written(tmp_path, {"extra_ids": 2, **config})
    for name, content in beside.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    made = load_tokenizer(tmp_path)
    assert made.encode("the<q>the") == ids
    (tmp_path / "again").mkdir()
    made.save(tmp_path / "again")
    assert load_tokenizer(tmp_path / "again").encode("the<q>the") == ids


def test_blanks_that_are_listed_keep_their_ids(tmp_path: Path) -> None:
    blanks = {"additional_special_tokens": ["<extra_id_0>", "<extra_id_1>"]}
    config = {"extra_ids": 2, **blanks, "added_tokens_decoder": LISTED}
    made = load_tokenizer(written(tmp_path, config))
    assert (made.encode("<extra_id_0><extra_id_1>"), made.vocab_size) == ([6, 5, 1], 7)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"split_special_tokens": True}, "split_special_tokens: expected false"),
        ({"additional_special_tokens": [4]}, "additional_special_tokens: expected tokens"),
        ({"added_tokens_decoder": {"9": {"content": "<q>"}}}, "'<q>': expected the id 7"),
    ],
)
def test_what_names_no_token_is_refused(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_tokenizer(written(tmp_path, {"extra_ids": 2, **config}))


@pytest.mark.parametrize(
    ("config", "said", "message"),
    [
        ({}, {"kind": 2}, "expected a unigram model"),
        ({}, {"pieces": []}, "got one without pieces"),
        ({}, {"pieces": PIECES[2:]}, "the token '</s>' is missing"),
        ({"extra_ids": -1}, {}, "extra_ids: expected 0 to 10000, got -1"),
        ({"extra_ids": "many"}, {}, "extra_ids: expected 0 to 10000, got 'many'"),
        ({"extra_ids": 10**9}, {}, "extra_ids: expected 0 to 10000"),
        ({}, {"pieces": [*PIECES, ["a" * 1001, 1.0, 1]]}, "pieces of at most 1000 characters"),
        (
            {},
            {"pieces": [*PIECES, ["a", float("nan"), 1]]},
            "'a': expected a finite score, got nan",
        ),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, config: dict[str, Any], said: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=rf"spiece.model: .*{message}"):
        load_tokenizer(written(tmp_path, config, **said))


@pytest.mark.parametrize("name", ["PegasusTokenizer", "AlbertTokenizer", "XLNetTokenizerFast", 3])
def test_the_pieces_of_another_class_are_refused(name: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"pieces of a T5Tokenizer, got those of .?{name}"):
        load_tokenizer(written(tmp_path, {"tokenizer_class": name}))
    made = load_tokenizer(written(tmp_path, {"tokenizer_class": "T5Tokenizer"}))
    assert made.encode("the") == [4, 1]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (written(tmp_path) / "spiece.model").write_bytes(b"\0\1")
    with pytest.raises(CheckpointError, match=r"spiece.model: expected a SentencePiece model: tru"):
        load_tokenizer(tmp_path)


def test_without_the_library_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece.sentencepiece_model_pb2", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lmkernel\[sentencepiece\]'"):
        load_tokenizer(written(tmp_path))
