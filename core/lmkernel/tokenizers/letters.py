"""The letters of models that hear: ``vocab.json``, without rules of how texts are cut.

Constraint: ids and texts are those of transformers' ``Wav2Vec2CTCTokenizer``, but that special
tokens written in a text are letters like others. An object here stands where one of the
``tokenizers`` library does, with the methods of it that are called.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.json_files import MOST_BYTES, parse_object
from lmkernel.errors import CheckpointError, InputError
from lmkernel.files import read_file
from lmkernel.tokenizers.check import MOST_IDS
from lmkernel.tokenizers.encoded import EncodedText, SpecialToken
from lmkernel.tokenizers.named_tokens import number_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["LETTERS", "Letters", "open_letters"]

LETTERS = "vocab.json"
"""The file of ids."""
_USUAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
}
"""The special tokens of the class, of which a vocabulary need not have all."""


@final
@dataclass(frozen=True, kw_only=True)
class Letters:
    """A vocabulary of single letters.

    Args:
        numbers: the id of each letter, and of special tokens.
        special: those of them that are no part of a text.
        unknown: what stands for a letter that it has not; None where that is an error.
        delimiter: what stands between words.
        capital: whether it has capital letters alone, and texts are small.
    """

    numbers: Mapping[str, int]
    special: tuple[str, ...]
    unknown: str | None
    delimiter: str = "|"
    capital: bool = False

    @functools.cached_property
    def _names(self) -> dict[int, str]:
        return {number: name for name, number in self.numbers.items()}

    def token_to_id(self, token: str) -> int | None:
        """The id of a letter, if it has one."""
        return self.numbers.get(token)

    def id_to_token(self, number: int) -> str | None:
        """The letter of an id, if there is one."""
        return self._names.get(number)

    def get_vocab_size(self, *, with_added_tokens: bool = True) -> int:
        """The number of ids."""
        del with_added_tokens
        return max(self.numbers.values()) + 1

    def get_added_tokens_decoder(self) -> dict[int, SpecialToken]:
        """The tokens that are no part of a text, by id."""
        return {self.numbers[token]: SpecialToken(token) for token in self.special}

    def to_str(self) -> str:
        """What the ids of a text follow from."""
        return json.dumps({"vocab": dict(self.numbers), "capital": self.capital}, sort_keys=True)

    def encode(
        self, text: str, pair: str | None = None, *, add_special_tokens: bool = True
    ) -> EncodedText:
        """The ids of a text, a letter each.

        Raises:
            InputError: a letter that it has not, or a second text beside it.
        """
        if pair is not None:
            raise InputError("expected one text for a tokenizer of letters, got two")
        letters = (text.upper() if self.capital else text).replace(" ", self.delimiter)
        other = None if self.unknown is None else self.numbers[self.unknown]
        ids = [self.numbers.get(letter, other) for letter in letters]
        if None in ids:
            letter = letters[ids.index(None)]
            raise InputError(f"expected letters of the vocabulary, got {letter!r} in {text!r:.60}")
        made = EncodedText([i for i in ids if i is not None], [(i, i + 1) for i in range(len(ids))])
        return self.post_process(made, add_special_tokens=add_special_tokens)

    def post_process(self, made: EncodedText, *, add_special_tokens: bool) -> EncodedText:
        """The same: nothing stands around a text."""
        del add_special_tokens
        return made

    def num_special_tokens_to_add(self, *, is_pair: bool) -> int:
        """The number of tokens that stand around a text."""
        del is_pair
        return 0

    def encode_batch_fast(
        self, texts: Sequence[str], *, add_special_tokens: bool = True
    ) -> list[EncodedText]:
        """The ids of each text."""
        return [self.encode(text, add_special_tokens=add_special_tokens) for text in texts]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of ids, as they are: what was said once stands there once.

        An id that no letter has stands for the unknown one.
        """
        names, other = self._names, self.unknown or ""
        letters = (names.get(number, other) for number in ids)
        shown = [x for x in letters if not (skip_special_tokens and x in self.special)]
        text = "".join(" " if x == self.delimiter else x for x in shown).strip()
        return text.lower() if self.capital else text

    def save(self, path: str) -> None:
        """Write the file into the folder of a path."""
        from pathlib import Path

        content = json.dumps(dict(self.numbers), ensure_ascii=False)
        (Path(path).parent / LETTERS).write_text(content, "utf-8")


def open_letters(path: Path, config: dict[str, Any]) -> Letters:
    """The letters of a file.

    Args:
        path: of the ``vocab.json``.
        config: the content of ``tokenizer_config.json``, which gets the special tokens of the class
            that the vocabulary has.

    Raises:
        CheckpointError: the file is damaged, or one of several languages.
    """
    numbers = _numbers(path, config)
    for role, token in _USUAL.items():
        if token in numbers:
            config.setdefault(role, token)
    named = [config.get(role) for role in _USUAL]
    texts = [one.get("content") if isinstance(one, dict) else one for one in named]
    for text in texts:  # those that nobody numbers come last, as in transformers
        if isinstance(text, str):
            numbers.setdefault(text, max(numbers.values()) + 1)
    special = tuple(dict.fromkeys(t for t in texts if isinstance(t, str) and t in numbers))
    unknown = texts[list(_USUAL).index("unk_token")]
    config.setdefault("tokenizer_class", "Wav2Vec2CTCTokenizer")
    between = config.get("replace_word_delimiter_char", " ")
    if between != " ":
        where = path.with_name("tokenizer_config.json")
        raise CheckpointError(
            f"{where}: replace_word_delimiter_char: expected a space, got {between!r:.40}"
        )
    return Letters(
        numbers=numbers,
        special=special,
        unknown=unknown if unknown in special else None,
        delimiter=_delimiter(config, path),
        capital=config.get("do_lower_case") is True,
    )


def _numbers(path: Path, config: Mapping[str, Any]) -> dict[str, int]:
    """The ids of ``vocab.json``, and of the tokens that the files beside it add."""
    numbers = parse_object(read_file(path, MOST_BYTES), str(path))
    for name, number in numbers.items():
        if type(number) is not int or not 0 <= number < MOST_IDS:
            raise CheckpointError(f"{path}: {name!r:.60}: expected an id, got {number!r:.60}")
    if not numbers:
        raise CheckpointError(f"{path}: expected letters with their ids, got none")
    number_tokens(numbers, path, config)
    return numbers


def _delimiter(config: Mapping[str, Any], path: Path) -> str:
    found = config.get("word_delimiter_token", "|")
    found = found.get("content") if isinstance(found, dict) else found
    if not isinstance(found, str) or len(found) != 1:
        where = path.with_name("tokenizer_config.json")
        raise CheckpointError(f"{where}: word_delimiter_token: expected a letter, got {found!r}")
    return found
