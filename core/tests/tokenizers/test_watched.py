"""Rules of a tokenizer.json that would run for hours end in a sentence with the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import tokenizers
from letters import letters

from lmkernel.errors import CheckpointError
from lmkernel.tokenizers import load_tokenizer, watched

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.tokenizers import Tokenizer

HOSTILE, HARMLESS = "(a+)+$", "[ab]+"
SLOW = ("a" * 20 + "b") * 40
"""A text at which the hostile expression computes for a second; no try of it is given up."""


def split(expression: str) -> dict[str, Any]:
    pattern = {"Regex": expression}
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


def replace(expression: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": expression}, "content": "c"}


def written(folder: Path, **changes: Any) -> Path:
    """A tokenizer of letters with other steps; returns its file."""
    letters().save(folder)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def opened(folder: Path, **changes: Any) -> Tokenizer:
    written(folder, **changes)
    return load_tokenizer(folder)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "PATIENCE", 0.05)
    monkeypatch.setattr(watched, "_EACH", 0.0)


def refusal(folder: Path, size: int) -> str:
    where = str(folder / "tokenizer.json").replace("\\", "\\\\")
    return (
        f"{where}: expected rules that are done with {size} characters in 0 seconds, "
        r"got others, among them: \(a\+\)\+\$"
    )


@pytest.mark.usefixtures("impatient")
def test_pre_tokenizer_that_would_not_end_is_named(tmp_path: Path) -> None:
    tokenizer = opened(tmp_path, pre_tokenizer=split(HOSTILE))
    for text in (SLOW, "a"):  # and is not tried again
        with pytest.raises(CheckpointError, match=refusal(tmp_path, len(SLOW))):
            tokenizer.encode(text)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("method", ["encode_many", "encode_with_ends", "framed"])
def test_normalizer_that_would_not_end_is_named(tmp_path: Path, method: str) -> None:
    tokenizer = opened(tmp_path, normalizer=replace(HOSTILE))
    given = SLOW if method == "encode_with_ends" else [SLOW]
    with pytest.raises(CheckpointError, match=refusal(tmp_path, len(SLOW))):
        getattr(tokenizer, method)(given)


@pytest.mark.usefixtures("impatient")
def test_decoder_that_would_not_end_is_named(tmp_path: Path) -> None:
    tokenizer = opened(tmp_path, decoder={"type": "Sequence", "decoders": [
        {"type": "Fuse"}, replace(HOSTILE)]})  # fmt: skip
    ids = tokenizer.encode(SLOW)
    with pytest.raises(CheckpointError, match=refusal(tmp_path, len(ids))):
        tokenizer.decode(ids)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("where", ["tokenizer.json", "tokenizer_config.json"])
def test_tokens_that_are_normalised_without_end_are_named(tmp_path: Path, where: str) -> None:
    token = {"content": SLOW, "lstrip": False, "rstrip": False, "normalized": True}
    token |= {"single_word": False, "special": False}
    path = written(tmp_path, normalizer=replace(HOSTILE))
    document = json.loads(path.read_text())
    number = len(document["model"]["vocab"])
    if where == "tokenizer.json":
        document["added_tokens"].append({"id": number, **token})
        path.write_text(json.dumps(document))
    else:
        config = json.loads((tmp_path / where).read_text())
        config["added_tokens_decoder"] = {str(number): token}
        (tmp_path / where).write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="expected rules that are done with"):
        load_tokenizer(tmp_path)


@pytest.mark.usefixtures("impatient")
def test_words_of_any_length_that_would_not_end_are_named(tmp_path: Path) -> None:
    words = {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##"}
    words |= {"vocab": {"<unk>": 0, "<start>": 1, "<end>": 2, "a": 3, "##a": 4}}
    tokenizer = opened(tmp_path, model={**words, "max_input_chars_per_word": 10**9})
    assert len(tokenizer.encode("aaa")) == 3
    said = "expected rules that are done with 4000 .*: max_input_chars_per_word=1000000000$"
    with pytest.raises(CheckpointError, match=said):
        tokenizer.encode("a" * 4000)


def test_pieces_that_are_whole_texts_are_refused(tmp_path: Path) -> None:
    """The library would end such a tokenizer in a crash."""
    pieces = [["<unk>", 0.0], ["<start>", 0.0], ["<end>", 0.0], ["a" * 10**6, -1.0]]
    with pytest.raises(CheckpointError, match="pieces of at most 1000 characters, got 'aaaa"):
        opened(tmp_path, model={"type": "Unigram", "vocab": pieces, "unk_id": 0})


def test_expressions_that_end_change_nothing(tmp_path: Path) -> None:
    tokenizer = opened(tmp_path, pre_tokenizer=split(HARMLESS), decoder=replace("b"))
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = "ab cab abba"
    encoded = library.encode(text)
    assert tokenizer.encode(text) == encoded.ids
    assert tokenizer.encode_many([text, "b"]) == [encoded.ids, library.encode("b").ids]
    assert tokenizer.encode_with_offsets(text) == (encoded.ids, encoded.offsets)
    pair = library.encode(text, "b")
    assert [row[0] for row in tokenizer.framed([text, "b"])] == pair.ids
    assert tokenizer.decode(encoded.ids) == library.decode(encoded.ids)
    assert "c" in tokenizer.decode(encoded.ids)


@pytest.mark.parametrize("method", ["encode", "encode_many", "framed"])
def test_a_try_that_the_library_gives_up_is_an_error(tmp_path: Path, method: str) -> None:
    """Its engine ends with a panic there."""
    tokenizer = opened(tmp_path, pre_tokenizer=split(HOSTILE))
    text = "a" * 40 + "b"
    with pytest.raises(CheckpointError, match="retry-limit-in-match over"):
        getattr(tokenizer, method)(text if method == "encode" else [text])
