"""Tokenizers of OPUS-MT: SentencePiece models of a source and a target, with ids of their own.

``source.spm`` and ``target.spm`` cut texts into pieces, ``vocab.json`` numbers them, for targets
``target_vocab.json`` where a configuration says ``separate_vocabs``. An object here stands where
one of the ``tokenizers`` library does, with the methods of it that are called.
"""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.json_files import MOST_BYTES, parse_object
from lmkernel.errors import CheckpointError, InputError, MissingDependencyError
from lmkernel.files import read_file
from lmkernel.tokenizers.check import MOST_IDS
from lmkernel.tokenizers.encoded import EncodedText, SpecialToken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["PairedPieces", "open_pieces"]

_SPACE = "▁"
_CODE = re.compile(r"(>>[^<>]*<<)(.*)", re.DOTALL)
"""A language before a text."""
_SPECIAL = ("</s>", "<unk>", "<pad>")
_FILES = ("source.spm", "target.spm", "vocab.json")


@final
@dataclass(frozen=True, kw_only=True)
class PairedPieces:
    """The tokenizer of one side.

    Args:
        files: the content of each file, by its name.
        own: the SentencePiece model of the side.
        numbers: the id of each piece that the side knows.
        names: the piece of each id that an answer may hold.
        separate: whether the target has ids of its own.
    """

    files: Mapping[str, bytes]
    own: Any
    numbers: Mapping[str, int]
    names: Mapping[int, str]
    separate: bool = False

    def for_targets(self) -> PairedPieces:
        """The tokenizer of the other side."""
        numbers = {name: number for number, name in self.names.items()}
        return replace(self, own=_model(self.files["target.spm"], "target.spm"), numbers=numbers)

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
        """The tokens that are no part of a text, by id."""
        return {self.numbers[t]: SpecialToken(t) for t in _SPECIAL if t in self.numbers}

    def to_str(self) -> str:
        """What the ids of a text follow from."""
        return json.dumps({name: self.files[name].hex() for name in sorted(self.files)})

    def encode(
        self, text: str, pair: str | None = None, *, add_special_tokens: bool = True
    ) -> EncodedText:
        """The ids of a text; special tokens that are written in it count as such.

        Raises:
            InputError: a second text beside it.
        """
        if pair is not None:
            raise InputError("expected one text for a tokenizer of translations, got two")
        code = _CODE.fullmatch(text)
        first, rest = code.groups() if code else ("", text)
        pieces = [first] if code else []
        for part in re.split(f"({'|'.join(map(re.escape, _SPECIAL))})", rest):
            pieces += [part] if part in _SPECIAL else self.own.encode(part, out_type=str)
        unknown = self.numbers["<unk>"]
        made = EncodedText([self.numbers.get(piece, unknown) for piece in pieces])
        return self.post_process(made, add_special_tokens=add_special_tokens)

    def post_process(self, made: EncodedText, *, add_special_tokens: bool) -> EncodedText:
        """The same with the token that ends a text."""
        return EncodedText([*made.ids, self.numbers["</s>"]] if add_special_tokens else made.ids)

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
        pieces = (self.names.get(number, "") for number in ids)
        shown = (
            f"{piece} " if piece in _SPECIAL else piece.replace(_SPACE, " ")
            for piece in pieces
            if not (skip_special_tokens and piece in _SPECIAL)
        )
        return "".join(shown).strip()

    def save(self, path: str) -> None:
        """Write the files into the folder of a path."""
        from pathlib import Path

        for name, content in self.files.items():
            (Path(path).parent / name).write_bytes(content)


def open_pieces(folder: Path, config: Mapping[str, Any]) -> PairedPieces:
    """The tokenizer of sources in a folder with ``source.spm``.

    Args:
        folder: where the files are.
        config: the content of ``tokenizer_config.json``.

    Raises:
        CheckpointError: a file is missing or damaged.
        MissingDependencyError: the ``sentencepiece`` library is not installed.
    """
    separate = bool(config.get("separate_vocabs"))
    names = (*_FILES, "target_vocab.json") if separate else _FILES
    files = {name: read_file(folder / name, MOST_BYTES) for name in names}
    numbers = _numbers(files["vocab.json"], folder / "vocab.json")
    answers = numbers
    if separate:
        answers = _numbers(files["target_vocab.json"], folder / "target_vocab.json")
    _model(files["target.spm"], str(folder / "target.spm"))
    return PairedPieces(
        files=files,
        own=_model(files["source.spm"], str(folder / "source.spm")),
        numbers=numbers,
        names={number: name for name, number in answers.items()},
        separate=separate,
    )


def _numbers(data: bytes, path: Path) -> dict[str, int]:
    """The id of each piece."""
    found = parse_object(data, str(path))
    for token in ("</s>", "<unk>"):
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
