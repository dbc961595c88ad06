"""A tokenizer: text to ids and back, as a stream, and as a chat.

Constraints: over the ``tokenizers`` library, imported when a tokenizer is loaded; ``jinja2`` is
imported by the first chat. Decoding is lossless: no clean-up of spaces.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError
from lmkernel.tokenizers.beginning import beginning
from lmkernel.tokenizers.chat_templates import DEFAULT, ChatTemplates
from lmkernel.tokenizers.checks import SPECIAL_ROLES, check_text, token_text
from lmkernel.tokenizers.library import library_code
from lmkernel.tokenizers.paired_pieces import PairedPieces
from lmkernel.tokenizers.stream import TextStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import tokenizers

    from lmkernel.tokenizers.letters import Letters

__all__ = ["Tokenizer"]

_IDS = 2**32  # the library counts in so many


@final
class Tokenizer:
    """A tokenizer of a model.

    Args:
        backend: the ``tokenizers.Tokenizer``, SentencePiece models of two languages, or letters.
        config: the content of ``tokenizer_config.json``; special tokens may be strings or objects
            with ``content``.
        templates: chat templates by name; ``"default"`` is the usual one.
        eos_ids: further ids that end a text, beside the configuration's ``eos_token``.
        name: the folder or file that it was read from, which errors of its templates begin with.
        segments: how many its model tells apart; 0 where it tells none, or that is not known.

    Raises:
        InputError: the ``eos_token`` is not in the vocabulary, so that no text would end.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer | PairedPieces | Letters,
        config: Mapping[str, Any],
        *,
        templates: Mapping[str, str] | None = None,
        eos_ids: Iterable[int] = (),
        name: str = "",
        segments: int = 0,
    ) -> None:
        self._backend: Any = backend  # each has the methods that are called here
        self._config = dict(config)
        self._name = name
        self.segments = segments
        self.where = name or "the tokenizer"
        self._special = {role: token_text(config.get(role)) for role in SPECIAL_ROLES}
        self._chats = ChatTemplates(templates or {}, self._special, name)
        own = self._id("eos_token")
        if own is None and self._special["eos_token"] is not None:
            token = self._special["eos_token"]
            raise InputError(f"eos_token {token!r} is not in the tokenizer's vocabulary")
        first = () if own is None else (own,)
        self._eos_ids = tuple(dict.fromkeys((*first, *eos_ids)))

    def with_templates(self, templates: Mapping[str, str], *, end: int | None = None) -> Tokenizer:
        """The same tokenizer with other chat templates by name, those that it has if none.

        Args:
            templates: see the class.
            end: the id of the token that ends a text from here on; earlier ones still do.
        """
        ends = {} if end is None else {"eos_token": self._backend.id_to_token(end)}
        return self._with(config={**self._config, **ends}, templates=templates or self.templates)

    def with_segments(self, segments: int) -> Tokenizer:
        """The same tokenizer for a model that tells so many segments apart; 0 for none."""
        return self if segments == self.segments else self._with(segments=segments)

    @property
    def for_targets(self) -> Tokenizer:
        """The tokenizer of what a decoder writes, where it is another than the encoder's."""
        if not isinstance(self._backend, PairedPieces):
            return self
        return self._with(backend=self._backend.for_targets(), templates={})

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """The ids that end a text, the tokenizer's own first."""
        return self._eos_ids

    @property
    def bos_id(self) -> int | None:
        """The id that begins a text, if there is one."""
        return self._id("bos_token")

    @property
    def pad_id(self) -> int | None:
        """The id that pads a batch, if there is one."""
        return self._id("pad_token")

    @property
    def cls_id(self) -> int | None:
        """The id that begins an encoder's text, if there is one."""
        return self._id("cls_token")

    @property
    def mask_id(self) -> int | None:
        """The id that hides a token, if there is one."""
        return self._id("mask_token")

    @property
    def longest(self) -> int | None:
        """The tokens at which longer texts are cut (``model_max_length``); None if it is not said.

        transformers writes 10^30 where it has no limit.
        """
        most = self._config.get("model_max_length")
        return most if type(most) is int and 0 < most < _IDS else None

    def special_id(self, role: str) -> int:
        """The id of the token in a role, such as ``"mask_token"``.

        Raises:
            InputError: the tokenizer has none.
        """
        found = self._id(role)
        if found is None:
            raise InputError(f"expected a tokenizer with a {role}, got one without")
        return found

    def token_id(self, token: str) -> int | None:
        """The id of a token by its own text, or None where the vocabulary has none such."""
        try:
            found: int | None = self._backend.token_to_id(token)
        except UnicodeEncodeError:  # of a lone surrogate, which no vocabulary holds
            return None
        return found

    @property
    def special_ids(self) -> frozenset[int]:
        """The ids of all tokens that are no part of a text."""
        added = self._backend.get_added_tokens_decoder()
        return frozenset(number for number, token in added.items() if token.special)

    @property
    def document(self) -> str:
        """The content of its ``tokenizer.json``."""
        with library_code(self.where):
            document: str = self._backend.to_str()
        return document

    @property
    def digest(self) -> str:
        """Hexadecimal hash of how text becomes ids."""
        return hashlib.blake2b(self.document.encode(), digest_size=16).hexdigest()

    @property
    def vocab_size(self) -> int:
        """The number of tokens, added ones included."""
        size: int = self._backend.get_vocab_size(with_added_tokens=True)
        return size

    @property
    def chat_template(self) -> str | None:
        """The usual chat template's source, if the model has one."""
        return self._chats.sources.get(DEFAULT)

    @property
    def templates(self) -> dict[str, str]:
        """The chat templates by name."""
        return dict(self._chats.sources)

    def encode(
        self, text: str, *, special_tokens: bool = True, limit: int | None = None
    ) -> list[int]:
        """The ids of a text.

        Args:
            text: any Unicode text; special tokens written in it count as such.
            special_tokens: whether to add those that the tokenizer puts around a text. A rendered
                chat has its own already.
            limit: the most ids; the end of a longer text is cut off, never a special token.

        Raises:
            InputError: the text holds a lone surrogate, which UTF-8 cannot express.
        """
        check_text(text)
        backend = self._backend
        with library_code(self.where):
            text = text if limit is None else beginning(self, text, limit)
            encoding = backend.encode(text, add_special_tokens=special_tokens)
            if limit is not None and len(encoding.ids) > limit:
                encoding = backend.encode(text, add_special_tokens=False)
                added = backend.num_special_tokens_to_add(is_pair=False) if special_tokens else 0
                encoding.truncate(max(limit - added, 0))
                encoding = backend.post_process(encoding, add_special_tokens=special_tokens)
            return list(encoding.ids)

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of texts, on all cores, with no special tokens around them.

        Raises:
            InputError: a text holds a lone surrogate.
        """
        for text in texts:
            check_text(text)
        with library_code(self.where):
            encoded = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encoded]

    def framed(self, texts: Sequence[str]) -> list[tuple[int, int, int | None]]:
        """One text or two with special tokens: of each token its id, segment and text.

        A token's text is its number, or None for a special token that stands around them.

        Raises:
            InputError: a text holds a lone surrogate.
        """
        for text in texts:
            check_text(text)
        with library_code(self.where):
            encoding = self._backend.encode(texts[0], texts[1] if len(texts) > 1 else None)
        return list(zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True))

    def encode_with_ends(self, text: str) -> tuple[list[int], list[int]]:
        """The ids of a rendered chat, and for each the character of the text that it ends before.

        Raises:
            InputError: the text holds a lone surrogate.
        """
        ids, offsets = self.encode_with_offsets(text)
        return ids, [end for _, end in offsets]

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of a text without special tokens, and where each begins and ends in it.

        Raises:
            InputError: the text holds a lone surrogate, or it is not told where tokens stand.
        """
        check_text(text)
        with library_code(self.where):
            encoding = self._backend.encode(text, add_special_tokens=False)
        if len(encoding.offsets) != len(encoding.ids):
            raise InputError(f"{self.where}: the tokenizer does not say where its tokens stand")
        return encoding.ids, encoding.offsets

    def token(self, number: int) -> str:
        """The token of an id as the vocabulary spells it; empty for an id that no token has."""
        return self._backend.id_to_token(number) or ""

    @property
    def unknown(self) -> str | None:
        """The token that stands for what the vocabulary lacks, if there is one."""
        return self._special["unk_token"]

    @property
    def inner_prefix(self) -> str:
        """What begins a token that goes on a word, such as WordPiece's ``##``; empty for none."""
        return getattr(self._backend.model, "continuing_subword_prefix", None) or ""

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """The text of ids; those that no token has (a padded vocabulary's) add nothing.

        Raises:
            InputError: an id is negative, or of more than 32 bits.
        """
        numbers = [int(item) for item in ids]
        if numbers and not 0 <= min(numbers) <= max(numbers) < _IDS:
            worst = min(numbers) if min(numbers) < 0 else max(numbers)
            raise InputError(f"expected token ids in 0 … {_IDS - 1}, got {worst}")
        with library_code(self.where):
            text: str = self._backend.decode(numbers, skip_special_tokens=skip_special)
        return text

    def stream(self, *, skip_special: bool = True, before: Sequence[int] = ()) -> TextStream:
        """A decoder of ids that come one at a time, after others whose text is there already."""
        return TextStream(functools.partial(self.decode, skip_special=skip_special), before)

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> str:
        """The text of a conversation, by the model's template.

        Args:
            messages: mappings with ``role`` and ``content``, oldest first; what is None is left
                out, as transformers does. A content of parts that are texts is joined for a
                template that writes texts alone.
            add_generation_prompt: whether to end with what begins the assistant's answer.
            tools: JSON schemas of functions, for a template named ``tool_use`` if there is one.

        Raises:
            TemplateError: the model has no template, or its template fails or is refused.
            InputError: a message has no role, or holds a lone surrogate.
        """
        return self._chats.render(
            messages, add_generation_prompt=add_generation_prompt, tools=tools
        )

    @property
    def writes_parts_alone(self) -> bool:
        """Whether the usual chat template writes a content that is parts, and none that is a text.

        Raises:
            TemplateError: it can't be read.
        """
        return self._chats.writes_parts_alone

    def save(self, directory: Path) -> None:
        """Write ``tokenizer.json``, ``tokenizer_config.json`` and ``special_tokens_map.json``."""
        from lmkernel.checkpoints.json_files import write_object

        with library_code(self.where):
            self._backend.save(str(directory / "tokenizer.json"))
        write_object(directory / "tokenizer_config.json", {**self._config, **self._chats.saved()})
        special = {role: token for role, token in self._special.items() if token is not None}
        write_object(directory / "special_tokens_map.json", special)

    def _with(self, **changed: Any) -> Tokenizer:
        """The same tokenizer, but for some of what it was made of."""
        own = {"backend": self._backend, "config": self._config, "templates": self.templates}
        more = {"eos_ids": self._eos_ids, "name": self._name, "segments": self.segments}
        return Tokenizer(**{**own, **more, **changed})

    def _id(self, role: str) -> int | None:
        """The id of a role's token; None without a token, or without an id in this vocabulary."""
        token = self._special[role]
        return None if token is None else self._backend.token_to_id(token)
