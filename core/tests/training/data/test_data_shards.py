"""Token shards hold what the tokenizer makes, are made once, and are never half there."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from letters import letters

from lmkernel.errors import CheckpointError, InputError
from lmkernel.families.bert import Bert
from lmkernel.progress import Progress
from lmkernel.tokenizers import Tokenizer
from lmkernel.training.data import shard_writer
from lmkernel.training.data.shard_writer import token_shards, write_shards
from lmkernel.training.data.shards import open_shards
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXTS = ["the cat sat on the mat", "a naïve café", "x", "the hat of the cat"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS, 270)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path))
    return tmp_path / "tokens"


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object, **__: object) -> None:
        raise AssertionError("the cache was not used")

    monkeypatch.setattr(shard_writer, "write_shards", forbid)


def folder_of(cache: Path) -> Path:
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    return folder


def test_documents_each_with_its_end(tokenizer: Tokenizer) -> None:
    shards = token_shards(TEXTS, tokenizer)
    expected = [[*tokenizer.encode(text), 0] for text in TEXTS]
    tokens = shards.tokens()
    assert tokens.read(0, len(tokens)).tolist() == [token for ids in expected for token in ids]
    assert shards.lengths.tolist() == [len(ids) for ids in expected]
    assert tokens.highest == max(map(max, expected))
    assert tokens.text_bytes == sum(len(text.encode()) for text in TEXTS)
    some = shards.tokens(np.array([0, 1, 3]))
    assert some.read(0, len(some)).tolist() == expected[0] + expected[1] + expected[3]
    assert some.text_bytes == tokens.text_bytes - 1


@pytest.mark.parametrize("limit", [1, 12, 1000])
def test_shards_of_any_size_hold_the_same(tmp_path: Path, tokenizer: Tokenizer, limit: int) -> None:
    write_shards(
        tmp_path / "made",
        TEXTS,
        tokenizer,
        ends=[0],
        digest="d",
        size=1,
        progress=Progress(),
        shard_tokens=limit,
    )
    shards = open_shards(tmp_path / "made")
    tokens, expected = shards.tokens(), token_shards(TEXTS, tokenizer).tokens()
    assert len(shards.arrays) == {1: 4, 12: 2, 1000: 1}[limit]
    assert tokens.read(0, 999).tolist() == expected.read(0, 999).tolist()


LONG = {
    "lines": "the cat sat\non the mat\n\nof the hat\n" * 3,
    "words": "the cat sat on the mat of the hat" * 3,
    "letters": "thecatsatonthemat" * 5,
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_document_is_one_that_is_tokenised_in_parts(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    documents = ["x", LONG[name], "the hat"]
    whole = [[7, *tokenizer.encode(text), 0] for text in documents]
    read: list[str] = []
    many = Tokenizer.encode_many
    monkeypatch.setattr(
        Tokenizer, "encode_many", lambda own, texts: read.extend(texts) or many(own, texts)
    )
    monkeypatch.setattr(shard_writer, "_CHUNK", 20)
    monkeypatch.setattr(shard_writer, "_LONG", 40)
    shards = token_shards(documents, tokenizer, begin=[7])
    tokens = shards.tokens()
    assert "".join(read) == "".join(documents)
    assert max(map(len, read)) <= 20
    found = tokens.read(0, len(tokens)).tolist()
    before, length, _ = shards.lengths
    assert tokenizer.decode(found[before + 1 : before + length - 1]) == documents[1]
    assert tokens.text_bytes == sum(len(text.encode()) for text in documents)
    if name != "letters":  # which have no place where no token reaches across
        assert found == [token for ids in whole for token in ids]
        assert shards.lengths.tolist() == [len(ids) for ids in whole]


def test_a_long_document_lies_in_one_shard(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_writer, "_CHUNK", 20)
    monkeypatch.setattr(shard_writer, "_LONG", 40)
    options = {"ends": [0], "digest": "d", "size": 1, "progress": Progress(), "shard_tokens": 5}
    write_shards(tmp_path / "made", [LONG["lines"], "x"], tokenizer, **options)
    shards = open_shards(tmp_path / "made")
    assert [len(array) for array in shards.arrays] == shards.lengths.tolist()


@pytest.mark.usefixtures("cache")
def test_second_run_opens_what_is_there(
    tokenizer: Tokenizer, request: pytest.FixtureRequest
) -> None:
    first = token_shards(TEXTS, tokenizer)
    request.getfixturevalue("forbidden")
    second = token_shards(list(TEXTS), tokenizer)
    assert second.digest == first.digest
    assert second.tokens().read(0, 99).tolist() == first.tokens().read(0, 99).tolist()


def test_key_is_the_content(cache: Path, tokenizer: Tokenizer) -> None:
    token_shards(TEXTS, tokenizer)
    token_shards(["the cat sat on the mata", " naïve café", *TEXTS[2:]], tokenizer)
    token_shards(TEXTS, train_tokenizer(TEXTS, 265))
    token_shards(TEXTS, tokenizer, end=5)
    assert sum(path.is_dir() for path in cache.iterdir()) == 4


@pytest.mark.parametrize(("vocab", "bytes_each"), [(1 << 16, 2), ((1 << 16) + 1, 4)])
def test_width_follows_from_the_vocabulary(
    cache: Path, tokenizer: Tokenizer, vocab: int, bytes_each: int
) -> None:
    token_shards(TEXTS, tokenizer, end=vocab - 1)
    size = (folder_of(cache) / "tokens-00000.bin").stat().st_size
    assert size == bytes_each * sum(len(tokenizer.encode(text)) + 1 for text in TEXTS)


@pytest.mark.parametrize("text", ["hi", "<start>hi", "hi<end>", "<start>hi<end>"])
def test_what_a_document_begins_and_ends_with_already_is_not_put_there_again(text: str) -> None:
    tokens = token_shards([text, "x"], letters(), begin=[1]).tokens()
    assert tokens.read(0, 99).tolist() == [1, *letters().encode("hi"), 2, 1, 26, 2]


def test_another_token_that_ends_texts_ends_a_document_too() -> None:
    several = letters().with_templates({}, end=1)
    assert several.eos_ids == (1, 2)
    tokens = token_shards(["x<end>", "x"], several).tokens()
    assert tokens.read(0, 99).tolist() == [26, 2, 26, 1]


def test_berts_documents_end_in_their_separator() -> None:
    tokenizer = train_tokenizer(TEXTS, 280, Bert().special_tokens())
    assert token_shards(["x"], tokenizer).tokens().read(0, 9)[-1] == 3


DAMAGES = {
    "cut": (
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
        r"expected the \d+ bytes that were written, got \d+ bytes",
    ),
    "changed": (
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\xfe"),
        "got other content",
    ),
    "gone": (lambda path: path.unlink(), "No such file or directory"),
}


@pytest.mark.parametrize("name", ["tokens-00000.bin", "documents.bin"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_made_good(
    cache: Path, tokenizer: Tokenizer, name: str, damage: str
) -> None:
    expected = token_shards(TEXTS, tokenizer).tokens().read(0, 99).tolist()
    change, message = DAMAGES[damage]
    change(folder_of(cache) / name)
    with pytest.raises(CheckpointError, match=f"{name}: .*{message}"):
        open_shards(folder_of(cache))
    said = io.StringIO()
    shards = token_shards(TEXTS, tokenizer, progress=Progress(said))
    assert shards.tokens().read(0, 99).tolist() == expected
    assert name in said.getvalue()
    assert "it is made again" in said.getvalue()


@pytest.mark.parametrize("content", ["", "{}", '{"format": 99}', '{"format": 1}'])
def test_damaged_index_is_made_good(cache: Path, tokenizer: Tokenizer, content: str) -> None:
    token_shards(TEXTS, tokenizer)
    (folder_of(cache) / "index.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"index\.json: expected"):
        open_shards(folder_of(cache))
    assert len(token_shards(TEXTS, tokenizer).lengths) == 4


class Failing:
    """Documents that fail when they are gone through for the second time."""

    def __init__(self) -> None:
        self.times = 0

    def __iter__(self) -> Iterator[str]:
        self.times += 1
        yield TEXTS[0]
        if self.times == 2:
            raise KeyboardInterrupt


def test_interrupt_leaves_nothing(cache: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(KeyboardInterrupt):
        token_shards(Failing(), tokenizer)
    assert [path.name for path in cache.iterdir() if path.suffix != ".lock"] == []


def test_iterator_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="can be gone through twice, got an iterator"):
        token_shards(iter(TEXTS), tokenizer)


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_nothing_to_learn_is_refused(tokenizer: Tokenizer, texts: list[str]) -> None:
    with pytest.raises(InputError, match="expected documents, got not one with text in it"):
        token_shards(texts, tokenizer)


def test_home_that_cannot_be_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "file"))
    with pytest.raises(CheckpointError, match=r"file/tokens: Not a directory; set LMKERNEL_HOME"):
        token_shards(TEXTS, tokenizer)


def test_work_is_reported(tokenizer: Tokenizer) -> None:
    said = io.StringIO()
    token_shards(TEXTS, tokenizer, progress=Progress(said))
    assert said.getvalue() == "tokenising\n"
