"""Tokenizers of OPUS-MT: SentencePiece models of a source and a target, with ids of their own.

``source.spm`` and ``target.spm`` cut texts into pieces, ``vocab.json`` numbers them, for targets
``target_vocab.json`` where a configuration says ``separate_vocabs``. An object here stands where
one of the ``tokenizers`` library does, with the methods of it that are called. Ids and texts are
those of transformers' ``MarianTokenizer``, but that a target with ids of its own keeps them where a
token of the source has the same one.
"""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.json_files import MOST_BYTES, parse_object
from lmkernel.errors import CheckpointError, InputError, MissingDependencyError
from lmkernel.files import read_file
from lmkernel.tokenizers.check import MOST_IDS
from lmkernel.tokenizers.checks import SPECIAL_ROLES, token_text
from lmkernel.tokenizers.encoded import EncodedText, SpecialToken
from lmkernel.tokenizers.named_tokens import add_named_tokens, number_tokens, special_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["PairedPieces", "open_pieces"]

_SPACE = "▁"
_CODE = re.compile(r"(>>.*?<<)(.*)", re.DOTALL)
"""A language before a text."""
_USUAL = ("</s>", "<unk>", "<pad>")
"""The special tokens of the class."""
_FILES = ("source.spm", "target.spm", "vocab.json")


@final
@dataclass(frozen=True, kw_only=True)
class PairedPieces:
    """The tokenizer of one side.

    Args:
        files: the content of each file, by its name.
        own: the SentencePiece model of the side.
        joins: the one that makes texts of pieces.
        numbers: the id of each piece that the side knows.
        names: the piece of each id that an answer may hold.
        special: the tokens that are no part of a text.
        end: that of them which ends a text.
        unknown: that of them which stands for what the vocabulary lacks.
        separate: whether the target has ids of its own.
        added: the tokens that are found in a text before it is cut into pieces.
    """

    files: Mapping[str, bytes]
    own: Any
    joins: Any
    numbers: dict[str, int]
    names: dict[int, str]
    special: frozenset[str] = frozenset(_USUAL)
    end: str = "</s>"
    unknown: str = "<unk>"
    separate: bool = False
    added: dict[str, SpecialToken] = field(default_factory=dict)

    def for_targets(self) -> PairedPieces:
        """The tokenizer of the other side."""
        numbers = {text: self.numbers[text] for text in self.added}
        numbers |= {name: number for number, name in self.names.items()}
        return replace(self, own=_model(self.files["target.spm"], "target.spm"), numbers=numbers)

    def add_tokens(self, tokens: Sequence[Any]) -> None:
        """Find tokens in texts before these are cut, each with its id, or else the next free one.

        Args:
            tokens: of the ``tokenizers`` library.
        """
        taken = {*self.numbers.values()}
        for token in tokens:
            number = self.numbers.get(token.content, len(self.numbers))
            while token.content not in self.numbers and number in taken:
                number += 1
            taken.add(number)
            self.numbers[token.content] = number
            self.names.setdefault(number, token.content)
            sides = {name: getattr(token, name) for name in ("lstrip", "rstrip", "single_word")}
            self.added[token.content] = SpecialToken(
                token.content, special=token.content in self.special, **sides
            )

    def token_to_id(self, token: str) -> int | None:
        """The id of a piece, if it has one."""
        return self.numbers.get(token)

    def id_to_token(self, number: int) -> str | None:
        """The piece of an id, if there is one."""
        return self.names.get(number)

    def get_vocab_size(self, *, with_added_tokens: bool = True) -> int:
        """The number of ids."""
        del with_added_tokens
        return max(self.numbers.values()) + 1

    def get_added_tokens_decoder(self) -> dict[int, SpecialToken]:
        """The tokens that are found in a text before it is cut, by id."""
        return {self.numbers[text]: token for text, token in self.added.items()}

    def to_str(self) -> str:
        """What the ids of a text follow from."""
        found: dict[str, Any] = {name: self.files[name].hex() for name in sorted(self.files)}
        others = sorted(self.added.keys() - {*_USUAL})
        more = {text: [self.numbers[text], asdict(self.added[text])] for text in others}
        return json.dumps({**found, "added": more} if more else found)

    def encode(
        self, text: str, pair: str | None = None, *, add_special_tokens: bool = True
    ) -> EncodedText:
        """The ids of a text; special tokens that are written in it count as such.

        Raises:
            InputError: a second text beside it.
        """
        if pair is not None:
            raise InputError("expected one text for a tokenizer of translations, got two")
        pieces: list[str] = []
        for part in self._parts(text):
            pieces += [part] if part in self.added else self._pieces(part)
        unknown = self.numbers[self.unknown]
        made = EncodedText([self.numbers.get(piece, unknown) for piece in pieces])
        return self.post_process(made, add_special_tokens=add_special_tokens)

    def _parts(self, text: str) -> list[str]:
        """The tokens in a text, of those that begin at one place the longest, and what is between.

        Spaces beside a token may be its own, and one that counts only as a word may be none.
        """
        longest = sorted(self.added, key=len, reverse=True)
        parts = re.split(f"({'|'.join(map(re.escape, longest))})", text) if longest else [text]
        parts = [part for part in parts if part]
        for i, part in enumerate(parts):
            token = self.added.get(part)
            before, after = (parts[at] if at in range(len(parts)) else "" for at in (i - 1, i + 1))
            if token is None:
                continue
            if token.rstrip and after:
                parts[i + 1] = after.lstrip()
            if token.lstrip and before:
                parts[i - 1] = before.rstrip()
            if token.single_word and before[-1:] not in ("", " "):
                parts[i - 1], parts[i] = parts[i - 1] + part, ""
            elif token.single_word and after[:1] not in ("", " "):
                parts[i], parts[i + 1] = "", part + parts[i + 1]
        return [part for part in parts if part]

    def _pieces(self, text: str) -> list[str]:
        """The pieces of a text, and a language before it."""
        code = _CODE.fullmatch(text)
        first, rest = code.groups() if code else ("", text)
        pieces: list[str] = self.own.encode(rest, out_type=str)
        return [first, *pieces] if code else pieces

    def post_process(self, made: EncodedText, *, add_special_tokens: bool) -> EncodedText:
        """The same with the token that ends a text."""
        return EncodedText([*made.ids, self.numbers[self.end]] if add_special_tokens else made.ids)

    def num_special_tokens_to_add(self, *, is_pair: bool) -> int:
        """The number of tokens that stand around a text."""
        del is_pair
        return 1

    def encode_batch_fast(
        self, texts: Sequence[str], *, add_special_tokens: bool = True
    ) -> list[EncodedText]:
        """The ids of each text."""
        return [self.encode(text, add_special_tokens=add_special_tokens) for text in texts]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of ids."""
        text, run = "", []
        for piece in (self.names[number] for number in ids if number in self.names):
            if piece not in self.special:
                run.append(piece)
            elif not skip_special_tokens:
                text += f"{self.joins.decode_pieces(run)}{piece} "
                run = []
        return (text + str(self.joins.decode_pieces(run))).replace(_SPACE, " ").strip()

    def save(self, path: str) -> None:
        """Write the files into the folder of a path."""
        from pathlib import Path

        for name, content in self.files.items():
            (Path(path).parent / name).write_bytes(content)


def open_pieces(folder: Path, config: dict[str, Any]) -> PairedPieces:
    """The tokenizer of sources in a folder with ``source.spm``.

    Args:
        folder: where the files are.
        config: the content of ``tokenizer_config.json``, with the roles that are used; it gets the
            tokens that other files name.

    Raises:
        CheckpointError: a file is missing or damaged, or an id is another token's.
        MissingDependencyError: the ``sentencepiece`` library is not installed.
    """
    separate = bool(config.get("separate_vocabs"))
    names = (*_FILES, "target_vocab.json") if separate else _FILES
    files = {name: read_file(folder / name, MOST_BYTES) for name in names}
    end, unknown = (str(token_text(config[role])) for role in ("eos_token", "unk_token"))
    numbers = _numbers(files["vocab.json"], folder / "vocab.json", (end, unknown))
    answers = numbers
    if separate:
        path = folder / "target_vocab.json"
        answers = _numbers(files[path.name], path, (end, unknown))
    source, target = (_model(files[n], str(folder / n)) for n in ("source.spm", "target.spm"))
    number_tokens(numbers, folder / "vocab.json", config)
    special = special_tokens(folder, config)
    made = PairedPieces(
        files=files,
        own=source,
        joins=target if separate else source,
        numbers=numbers,
        names={number: name for name, number in answers.items()},
        special=frozenset(special),
        end=end,
        unknown=unknown,
        separate=separate,
    )
    add_named_tokens(made, folder, config)
    added = made.get_added_tokens_decoder()
    config["added_tokens_decoder"] = {str(n): asdict(token) for n, token in added.items()}
    config.pop("additional_special_tokens", None)
    roles = {token_text(config.get(role)) for role in SPECIAL_ROLES}
    config["extra_special_tokens"] = [text for text in special if text not in roles]
    return made


def _numbers(data: bytes, path: Path, needed: Sequence[str]) -> dict[str, int]:
    """The id of each piece."""
    found = parse_object(data, str(path))
    for token in needed:
        if token not in found:
            raise CheckpointError(f"{path}: the token {token!r} is missing")
    for name, number in found.items():
        if type(number) is not int or not 0 <= number < MOST_IDS:
            raise CheckpointError(f"{path}: {name!r:.60}: expected an id, got {number!r:.60}")
    return found


def _model(data: bytes, where: str) -> Any:
    try:
        library = importlib.import_module("sentencepiece")
    except ImportError as error:
        raise MissingDependencyError(
            "sentencepiece is not installed; run: pip install 'lmkernel[sentencepiece]'"
        ) from error
    try:
        return library.SentencePieceProcessor(model_proto=data)
    except (RuntimeError, ValueError, TypeError) as error:
        raise CheckpointError(f"{where}: expected a SentencePiece model: {error}") from error
