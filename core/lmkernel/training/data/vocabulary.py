"""A tokenizer trained on documents, through the ``tokenizers`` library.

Constraints: byte-level BPE (Radford et al. 2019, GPT-2, §2.2), so that every text can be expressed;
the same documents give the same tokenizer, to the byte (the library's WordPiece, which numbers its
pieces in the order of a hash table, does not); saved, it is one that the ecosystem opens.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError
from lmkernel.tokenizers.library import tokenizers_package
from lmkernel.tokenizers.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import tokenizers

__all__ = ["train_tokenizer"]

END_OF_TEXT = "<|endoftext|>"
_USUAL: Mapping[str, str] = MappingProxyType({"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT})


def train_tokenizer(
    documents: Iterable[str],
    vocab_size: int,
    special_tokens: Mapping[str, str] = _USUAL,
    *,
    extra: Sequence[str] = (),
) -> Tokenizer:
    """Learn a vocabulary of at most ``vocab_size`` tokens, fewer if the documents give no more.

    Args:
        documents: texts.
        vocab_size: special tokens and the 256 bytes included.
        special_tokens: the token of each role, such as ``{"pad_token": "<pad>"}``; they get the
            first ids, in their order. With a ``cls_token`` and a ``sep_token``, the tokenizer puts
            these around a text or a pair, as encoders expect.
        extra: further special tokens, without a role, after those.

    Raises:
        InputError: no documents, or no room for bytes and special tokens.
    """
    special = list(dict.fromkeys([*special_tokens.values(), *extra]))
    backend, trainer = _byte_level(vocab_size, special)
    backend.train_from_iterator(_at_least_one(documents), trainer)
    _add_template(backend, special_tokens)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    named = {"additional_special_tokens": list(extra)} if extra else {}
    return Tokenizer(backend, {**config, **special_tokens, **named})


def _at_least_one(documents: Iterable[str]) -> Iterator[str]:
    """The documents, at least one."""
    empty = True
    for text in documents:
        empty = False
        yield text
    if empty:
        raise InputError("expected documents to train a tokenizer on, got none")


def _byte_level(vocab_size: int, special: list[str]) -> tuple[tokenizers.Tokenizer, Any]:
    library = tokenizers_package()
    alphabet = sorted(library.pre_tokenizers.ByteLevel.alphabet())
    least = len(alphabet) + len(special)
    if vocab_size < least:
        raise InputError(
            f"expected a vocabulary of at least {least} tokens, the bytes and {len(special)} "
            f"special ones, got {vocab_size}"
        )
    backend = library.Tokenizer(library.models.BPE())
    backend.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    return backend, trainer


def _add_template(backend: tokenizers.Tokenizer, special_tokens: Mapping[str, str]) -> None:
    """``[CLS] a [SEP]`` and ``[CLS] a [SEP] b [SEP]``, segments 0 and 1, where there are both."""
    first, last = special_tokens.get("cls_token"), special_tokens.get("sep_token")
    if first is None or last is None:
        return
    backend.post_processor = tokenizers_package().processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(token, backend.token_to_id(token)) for token in (first, last)],
    )
