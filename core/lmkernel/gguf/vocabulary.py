"""The vocabulary in a GGUF file's metadata, checked: tokens, their kinds, and the special ids."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.gguf.file import GgufFile

__all__ = ["TokenKind", "Vocabulary", "end_ids", "field", "flag", "read_vocabulary"]

_ENDS = ("eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep")
_END_LISTS = ("eos_token_ids", "eog_token_ids")
_ROLES = ("bos", "unknown", "padding", *_ENDS)
_END_TEXTS = frozenset(
    (
        *("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "</s>"),
        *("<|eom_id|>", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>"),
        *("<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
        *("<|return|>", "<|call|>", "<|calls|>", "<|flush|>", "<|tool_response>"),
    )
)
"""What ends a turn or a text in the models that llama.cpp knows."""
_CONTINUED = (
    ("<|end|>", ({"<|return|>", "<|flush|>"}, {"<|call|>", "<|calls|>"})),
    ("</s>", ({"<|tool_response>"},)),
)
"""Tokens that end no turn where there is one of each set beside them, as in llama.cpp."""


@final
class TokenKind(enum.IntEnum):
    """What ``tokenizer.ggml.token_type`` says of a token."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@final
@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id, with their kinds; the id of each special role, and further ids of ends."""

    tokens: tuple[str, ...]
    kinds: tuple[int, ...]
    ids: Mapping[str, int]
    more_ends: tuple[int, ...] = ()

    def table(self) -> dict[str, int]:
        """Ids by token; a token that is there twice has its first id."""
        table: dict[str, int] = {}
        for number, token in enumerate(self.tokens):
            table.setdefault(token, number)
        return table

    def of_kind(self, *kinds: TokenKind) -> list[str]:
        """The tokens of these kinds, in the order of their ids."""
        return [t for t, kind in zip(self.tokens, self.kinds, strict=True) if kind in kinds]

    def ends(self) -> tuple[int, ...]:
        """The ids that end a text: those in such a role, and special tokens with such a text."""
        special = (TokenKind.CONTROL, TokenKind.USER_DEFINED)
        table, texts = self.table(), _END_TEXTS.intersection(self.of_kind(*special))
        ids = [*(self.ids[role] for role in _ENDS if role in self.ids), *self.more_ends]
        ids += sorted(table[text] for text in texts)
        there = {self.tokens[number] for number in ids}
        go_on = {text for text, others in _CONTINUED if all(one & there for one in others)}
        return tuple(dict.fromkeys(n for n in ids if self.tokens[n] not in go_on))

    def role(self, role: str) -> str | None:
        """The token in a special role, if there is one."""
        return self.tokens[self.ids[role]] if role in self.ids else None


def read_vocabulary(file: GgufFile) -> Vocabulary:
    """Read and check it.

    Raises:
        CheckpointError: a field is missing, of a wrong type or length, or an id has no token.
    """
    tokens = field(file, "tokenizer.ggml.tokens", str)
    kinds = field(file, "tokenizer.ggml.token_type", int, [TokenKind.NORMAL] * len(tokens))
    if len(kinds) != len(tokens):
        raise CheckpointError(
            f"{file.path}: tokenizer.ggml.token_type: expected {len(tokens)} kinds, one for each "
            f"token, got {len(kinds)}"
        )
    ids = {}
    for role in _ROLES:
        key = f"tokenizer.ggml.{role}_token_id"
        if (number := file.metadata.get(key)) is not None:
            ids[role] = _check_id(file, key, number, len(tokens))
    more = [
        _check_id(file, f"tokenizer.ggml.{name}", number, len(tokens))
        for name in _END_LISTS
        for number in field(file, f"tokenizer.ggml.{name}", int, [])
    ]
    return Vocabulary(tuple(tokens), tuple(kinds), ids, tuple(more))


def end_ids(file: GgufFile) -> tuple[int, ...]:
    """The ids that end a text, the tokenizer's own first; none where there is no tokenizer."""
    return read_vocabulary(file).ends() if "tokenizer.ggml.tokens" in file.metadata else ()


def field(file: GgufFile, key: str, kind: type, default: list[Any] | None = None) -> list[Any]:
    """A list among the metadata, with items of one type."""
    value = file.metadata.get(key, default)
    if not (isinstance(value, list) and all(isinstance(item, kind) for item in value)):
        what = "nothing" if value is None else f"{str(value)[:60]}"
        raise CheckpointError(f"{file.path}: {key}: expected a list of {kind.__name__}, got {what}")
    return value


def flag(file: GgufFile, key: str, *, default: bool) -> bool:
    """A boolean among the metadata."""
    value = file.metadata.get(key, default)
    if not isinstance(value, bool):
        raise CheckpointError(f"{file.path}: {key}: expected true or false, got {value!r:.60}")
    return value


def _check_id(file: GgufFile, key: str, number: Any, size: int) -> int:
    if not (type(number) is int and 0 <= number < size):
        raise CheckpointError(
            f"{file.path}: {key}: expected an id below {size}, got {number!r:.200}"
        )
    return number
