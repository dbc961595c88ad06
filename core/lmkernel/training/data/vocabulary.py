"""A tokenizer trained on documents, through the ``tokenizers`` library.

Constraints: byte-level BPE (Radford et al. 2019, GPT-2, §2.2), so that every text can be expressed;
the same documents give the same tokenizer, to the byte (the library's WordPiece, which numbers its
pieces in the order of a hash table, does not); saved, it is one that the ecosystem opens.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError
from lmkernel.tokenizers.load import tokenizers_package
from lmkernel.tokenizers.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import tokenizers

__all__ = ["END_OF_TEXT", "train_tokenizer"]

END_OF_TEXT = "<|endoftext|>"
_ROLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        END_OF_TEXT: ("bos_token", "eos_token"),
        "[PAD]": ("pad_token",),
        "[UNK]": ("unk_token",),
        "[CLS]": ("cls_token",),
        "[SEP]": ("sep_token",),
        "[MASK]": ("mask_token",),
    }
)


def train_tokenizer(
    documents: Iterable[str],
    vocab_size: int,
    special_tokens: Iterable[str] = (END_OF_TEXT,),
    *,
    roles: Mapping[str, str] | None = None,
) -> Tokenizer:
    """Learn a vocabulary of at most ``vocab_size`` tokens, fewer if the documents give no more.

    Args:
        documents: texts.
        vocab_size: special tokens and the 256 bytes included.
        special_tokens: they get the first ids, in their order. With ``[CLS]`` and ``[SEP]`` among
            them, the tokenizer puts these around a text or a pair, as BERT's does.
        roles: the token of each further role, such as ``{"pad_token": "<pad>"}``.

    Raises:
        InputError: no documents, or no room for bytes and special tokens.
    """
    special = list(dict.fromkeys(special_tokens))
    backend, trainer = _byte_level(vocab_size, special)
    backend.train_from_iterator(_at_least_one(documents), trainer)
    _add_template(backend)
    known = {role: token for token in special for role in _ROLES.get(token, ())}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    return Tokenizer(backend, {**config, **known, **(roles or {})})


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


def _add_template(backend: tokenizers.Tokenizer) -> None:
    """``[CLS] a [SEP]`` and ``[CLS] a [SEP] b [SEP]``, segments 0 and 1, where these tokens are."""
    ids = {token: backend.token_to_id(token) for token in ("[CLS]", "[SEP]")}
    if None in ids.values():
        return
    backend.post_processor = tokenizers_package().processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=list(ids.items()),
    )
