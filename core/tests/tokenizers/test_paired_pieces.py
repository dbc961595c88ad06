"""Tokenizers of OPUS-MT: two SentencePiece models, and ids of their own."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from sequence_models import sequence_model

import lmkernel as lk
from lmkernel.errors import CheckpointError, InputError, MissingDependencyError
from lmkernel.tokenizers.load import load_tokenizer
from lmkernel.training.data.pairs import pair_examples
from lmkernel.training.data.rows import Row

if TYPE_CHECKING:
    from pathlib import Path

PIECES = ["</s>", "<unk>", "▁the", "▁cat", "▁die", "▁Katze", ">>deu<<", "s", "<pad>"]


class Processor:
    """Cuts at spaces, and off an s at the end; a model is the words that it has."""

    def __init__(self, model_proto: bytes) -> None:
        if not model_proto.startswith(b"words"):
            raise RuntimeError("could not parse the model")
        self.words = model_proto.decode().split()

    def encode(self, text: str, out_type: type) -> list[str]:
        assert out_type is str
        found: list[str] = []
        for word in text.split():
            stem = word.removesuffix("s")
            found += [f"▁{stem}", *(["s"] if stem != word else [])]
        return found

    def decode_pieces(self, pieces: list[str]) -> str:
        return "".join(pieces).replace("▁", " ").removeprefix(" ")


class Library:
    SentencePieceProcessor = Processor


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", Library)  # type: ignore[arg-type]  # as a module


def written(folder: Path, *, separate: bool = False, **files: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "source.spm").write_bytes(files.get("source", b"words the cat"))
    (folder / "target.spm").write_bytes(files.get("target", b"words die Katze"))
    vocab = files.get("vocab", {name: i for i, name in enumerate(PIECES)})
    (folder / "vocab.json").write_text(json.dumps(vocab))
    if separate:
        own = {name: i for i, name in enumerate(reversed(PIECES))}
        (folder / "target_vocab.json").write_text(json.dumps(own))
    (folder / "tokenizer_config.json").write_text(json.dumps({"separate_vocabs": separate}))
    return folder


def test_where_tokens_stand_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not say where its tokens stand"):
        load_tokenizer(written(tmp_path)).encode_with_offsets("the cats")


def test_texts_become_ids_and_ids_texts(tmp_path: Path) -> None:
    made = load_tokenizer(written(tmp_path))
    assert made.encode("the cats") == [2, 3, 7, 0]
    assert made.encode("the dog", special_tokens=False) == [2, 1]
    assert made.encode(">>deu<< the cat") == [6, 2, 3, 0]
    assert made.encode("the</s>cat") == [2, 0, 3, 0]
    assert made.encode("the cats", limit=3) == [2, 3, 0]
    assert made.decode([4, 5, 7, 0, 8]) == "die Katzes"
    assert made.decode([4, 0], skip_special=False) == "die</s>"
    assert (made.eos_ids, made.pad_id, made.vocab_size) == ((0,), 8, 9)
    stream = made.stream()
    assert "".join([*(stream.push(i) for i in (4, 5, 7)), stream.finish()]) == "die Katzes"
    with pytest.raises(InputError, match="expected one text"):
        made.framed(["a", "b"])


@pytest.mark.parametrize("separate", [False, True])
def test_targets_have_a_model_of_their_own(tmp_path: Path, *, separate: bool) -> None:
    made = load_tokenizer(written(tmp_path, separate=separate))
    ids = made.for_targets.encode("die Katze")
    assert made.decode(ids) == "die Katze"
    assert ids == ([4, 3, 8] if separate else [4, 5, 0])
    row = Row({"source": "the cat", "target": "die Katze"}, "here")
    (pair,) = pair_examples([row], made, context=9)
    assert (list(pair.source), list(pair.target)) == ([2, 3, 0], ids)


def test_what_is_saved_is_what_was_read(tmp_path: Path) -> None:
    first = load_tokenizer(written(tmp_path / "a", separate=True))
    (tmp_path / "b").mkdir()
    first.save(tmp_path / "b")
    second = load_tokenizer(tmp_path / "b")
    assert second.digest == first.digest
    assert second.for_targets.encode("die") == first.for_targets.encode("die")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"vocab": {"a": 0}}, r"vocab.json: the token '</s>' is missing"),
        ({"vocab": {"</s>": 0, "<unk>": -1}}, r"vocab.json: '<unk>': expected an id, got -1"),
        ({"vocab": {"</s>": 0, "<unk>": "1"}}, r"vocab.json: '<unk>': expected an id, got '1'"),
        ({"vocab": [1]}, r"vocab.json: "),
        ({"source": b"\0"}, r"source.spm: expected a SentencePiece model: could not parse"),
        ({"target": b""}, r"target.spm: expected a SentencePiece model"),
    ],
)
def test_files_that_are_damaged_are_named(
    tmp_path: Path, files: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_tokenizer(written(tmp_path, **files))


def configured(folder: Path, **said: Any) -> Path:
    (written(folder) / "tokenizer_config.json").write_text(json.dumps(said))
    return folder


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"split_special_tokens": True}, "split_special_tokens: expected false"),
        ({"additional_special_tokens": [4]}, "additional_special_tokens: expected tokens"),
    ],
)
def test_what_names_no_token_is_refused(tmp_path: Path, said: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_tokenizer(configured(tmp_path, **said))


NINE = {"content": "<q>", "lstrip": True, "rstrip": True}


@pytest.mark.parametrize(
    ("said", "older", "special"),
    [
        ({"additional_special_tokens": ["<q>", ">>deu<<"]}, {}, True),
        ({"extra_special_tokens": {"image_token": "<q>"}}, {}, True),
        ({"mask_token": "<q>"}, {}, True),
        ({"added_tokens_decoder": {"9": {"content": "<q>", "special": True}}}, {}, False),
        ({}, {"<q>": 9}, False),
    ],
)
def test_a_token_that_is_named_and_lacks_is_added(
    tmp_path: Path, said: dict[str, Any], older: dict[str, int], special: bool
) -> None:
    """With the ids and texts of transformers' class, to which those with a role are special."""
    (configured(tmp_path, **said) / "added_tokens.json").write_text(json.dumps(older))
    made = load_tokenizer(tmp_path)
    assert (made.token_id("<q>"), made.vocab_size) == (9, 10)
    ids = made.encode("the<q>cat")
    assert ids == [2, 9, 3, 0]
    assert made.decode(ids) == ("the cat" if special else "the<q> cat")
    assert made.for_targets.encode("die<q>") == [4, 9, 0]
    (tmp_path / "again").mkdir()
    made.save(tmp_path / "again")
    again = load_tokenizer(tmp_path / "again")
    assert again.digest == made.digest
    assert again.decode(ids) == made.decode(ids)


def test_flags_of_added_tokens_are_followed(tmp_path: Path) -> None:
    words = {"10": {"content": "cat", "single_word": True}}
    made = load_tokenizer(configured(tmp_path, added_tokens_decoder={"9": NINE, **words}))
    assert made._backend._parts("the  <q> cats <q> a") == ["the", "<q>", "cats", "<q>", "a"]
    assert made.encode("the cat") == [2, 10, 0]
    assert made.encode("the cats") == [2, 3, 7, 0]
    assert made.encode("cat the</s>>>deu<< cat") == [10, 2, 0, 6, 10, 0]


def test_ids_are_behind_those_of_the_vocabulary_in_the_order_of_roles(tmp_path: Path) -> None:
    vocab = {name: i for i, name in enumerate(PIECES[:-1])}
    written(tmp_path, vocab=vocab)
    said = {"sep_token": "<s>", "image_token": "<i>", "mask_token": "<m>", "bos_token": "<b>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(said))
    made = load_tokenizer(tmp_path)
    found = [made.token_id(text) for text in ("<b>", "<s>", "<pad>", "<m>", "<i>")]
    assert found == [8, 9, 10, 11, 12]


def test_an_end_of_another_name_ends_a_text(tmp_path: Path) -> None:
    ends: list[dict[str, Any]] = [{"eos_token": "s"}, {"eos_token": "<e>"}]
    made = load_tokenizer(configured(tmp_path, **ends[0]))
    assert made.encode("the") == [2, 7]
    with pytest.raises(CheckpointError, match=r"vocab\.json: the token '<e>' is missing"):
        load_tokenizer(configured(tmp_path, **ends[1]))


@pytest.mark.parametrize("number", [3, 2**22])
def test_an_id_of_another_token_is_refused(tmp_path: Path, number: int) -> None:
    said = {"added_tokens_decoder": {str(number): {"content": "<q>"}}}
    with pytest.raises(CheckpointError, match=rf"an id of its own for '<q>', .* got {number}"):
        load_tokenizer(configured(tmp_path, **said))


def test_a_target_of_its_own_ids_keeps_them(tmp_path: Path) -> None:
    folder = written(tmp_path, separate=True)
    said = {"separate_vocabs": True, "additional_special_tokens": ["<q>"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    made = load_tokenizer(folder)
    assert made.encode("the<q>") == [2, 9, 0]
    assert made.for_targets.encode("die<q></s>") == [4, 9, 8, 8]
    assert made.decode([4, 9, 3]) == "die Katze"


@pytest.mark.parametrize("name", ["target.spm", "vocab.json"])
def test_files_that_are_missing_are_named(tmp_path: Path, name: str) -> None:
    (written(tmp_path) / name).unlink()
    with pytest.raises((CheckpointError, OSError), match=name):
        load_tokenizer(tmp_path)


def test_without_the_library_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lmkernel\[sentencepiece\]'"):
        load_tokenizer(written(tmp_path))


def test_a_model_translates_with_them(tmp_path: Path) -> None:
    made = load_tokenizer(written(tmp_path / "tokenizer"))
    model = lk.load(sequence_model(tmp_path / "model", "marian", made))
    assert model.origin.own_files.path == tmp_path / "model"
    found = lk.translate(model, "the cat", target="deu", max_new_tokens=4, progress=False)
    rows = model.generate([6, 2, 3, 0], max_new_tokens=4)
    assert str(found) == rows.text
