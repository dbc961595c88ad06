"""Letters of models that hear: ids and texts, files, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lmkernel.errors import CheckpointError, InputError
from lmkernel.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.tokenizers import Tokenizer

NUMBERS = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "A": 5, "B": 6, "'": 7}


def letters(folder: Path, numbers: Any = NUMBERS, **config: Any) -> Tokenizer:
    (folder / "vocab.json").write_text(json.dumps(numbers))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return load_tokenizer(folder)


def test_a_text_is_its_letters(tmp_path: Path) -> None:
    made = letters(tmp_path)
    assert made.encode("AB B'X") == [5, 6, 4, 6, 7, 3]
    assert made.decode([5, 6, 4, 6, 7]) == "AB B'"
    assert made.decode([0, 5, 0, 5, 2]) == "AA"
    assert (made.pad_id, made.vocab_size, made.special_ids) == (0, 8, {0, 1, 2, 3})


def test_small_letters_are_written_as_capital_ones(tmp_path: Path) -> None:
    made = letters(tmp_path, do_lower_case=True)
    assert made.encode("ab") == [5, 6]
    assert made.decode([5, 6]) == "ab"


def test_what_is_saved_is_the_same(tmp_path: Path) -> None:
    made = letters(tmp_path, do_lower_case=True)
    (tmp_path / "saved").mkdir()
    made.save(tmp_path / "saved")
    again = load_tokenizer(tmp_path / "saved")
    assert (again.digest, again.decode([5])) == (made.digest, "a")
    config = json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "Wav2Vec2CTCTokenizer"


ADDED = {"[UNK]": 2, "[PAD]": 3, "|": 0, "A": 1}


def test_tokens_of_files_beside_the_letters_are_of_the_vocabulary(tmp_path: Path) -> None:
    """As `Wav2Vec2CTCTokenizer.save_pretrained` writes them: ends are behind the letters."""
    (tmp_path / "added_tokens.json").write_text('{"<s>": 4, "</s>": 5}')
    entries = {str(n): {"content": t, "special": True} for n, t in ((4, "<s>"), (5, "</s>"))}
    roles = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "[UNK]", "pad_token": "[PAD]"}
    made = letters(tmp_path, ADDED, added_tokens_decoder=entries, **roles)
    assert (made.vocab_size, made.bos_id, made.eos_ids, made.pad_id) == (6, 4, (5,), 3)
    assert made.decode([1, 5, 4, 0, 1], skip_special=False) == "A</s><s> A"
    assert made.decode([1, 5, 4, 0, 1]) == "A A"
    (tmp_path / "added_tokens.json").unlink()
    assert letters(tmp_path, ADDED, **roles).decode([4, 5], skip_special=False) == "<s></s>"


def test_a_letter_that_there_is_none_of_is_named(tmp_path: Path) -> None:
    made = letters(tmp_path, {"<pad>": 0, "|": 1, "A": 2})
    with pytest.raises(InputError, match="got 'X' in 'AX'"):
        made.encode("AX")


@pytest.mark.parametrize(
    ("numbers", "config", "message"),
    [
        ({"eng": {"A": 0}}, {}, "'eng': expected an id"),
        ({"A": -1}, {}, "'A': expected an id"),
        ({}, {}, "expected letters"),
        (
            NUMBERS,
            {"added_tokens_decoder": {"5": {"content": "<x>"}}},
            "an id of its own for '<x>'",
        ),
        (NUMBERS, {"added_tokens_decoder": {"9": {"content": "A"}}}, "an id of its own for 'A'"),
        (NUMBERS, {"word_delimiter_token": "||"}, "word_delimiter_token: expected a letter"),
    ],
)
def test_damaged_files_are_refused(
    numbers: Any, config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        letters(tmp_path, numbers, **config)
