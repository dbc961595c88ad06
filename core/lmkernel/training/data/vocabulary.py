"""A tokenizer trained on documents, through the ``tokenizers`` library.

Constraints: the same documents give the same tokenizer, to the byte; saved, it is a tokenizer that
the ecosystem opens. Byte-level BPE: Radford et al. 2019 (GPT-2), §2.2. WordPiece: Schuster and
Nakajima 2012, cut as in BERT (arXiv:1810.04805).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError
from lmkernel.tokenizers.load import tokenizers_package
from lmkernel.tokenizers.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import tokenizers

__all__ = ["BERT_TOKENS", "END_OF_TEXT", "train_tokenizer"]

END_OF_TEXT = "<|endoftext|>"
BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
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
    kind: str = "bpe",
    roles: Mapping[str, str] | None = None,
) -> Tokenizer:
    """Learn a vocabulary of at most ``vocab_size`` tokens (fewer if the documents give no more).

    Args:
        documents: texts.
        vocab_size: special tokens included; for ``"bpe"`` at least these and the 256 bytes.
        special_tokens: they get the first ids, in their order. With ``[CLS]`` and ``[SEP]`` among
            them, the tokenizer puts these around a text or a pair, as BERT's does.
        kind: ``"bpe"`` of bytes, or ``"wordpiece"`` of lower-cased words.
        roles: the token of each further role, such as ``{"pad_token": "<pad>"}``.

    Raises:
        InputError: an unknown kind, no documents, or no room for the smallest vocabulary.
    """
    special = tuple(dict.fromkeys(special_tokens))
    if kind not in _KINDS:
        raise InputError(f"expected a kind of tokenizer among {', '.join(_KINDS)}, got {kind!r}")
    backend, trainer = _KINDS[kind](vocab_size, special)
    texts = _Counted(documents)
    backend.train_from_iterator(texts, trainer)
    if not texts.count:
        raise InputError("expected documents to train a tokenizer on, got none")
    _surround(backend)
    return Tokenizer(backend, _config(special, roles or {}))


class _Counted:
    """An iterable that knows how much of it was gone through."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self.count = 0

    def __iter__(self) -> Any:
        for text in self._texts:
            self.count += 1
            yield text


def _bpe(vocab_size: int, special: tuple[str, ...]) -> tuple[tokenizers.Tokenizer, Any]:
    library = tokenizers_package()
    alphabet = library.pre_tokenizers.ByteLevel.alphabet()
    if vocab_size < len(alphabet) + len(special):
        raise InputError(
            f"expected a vocabulary of at least {len(alphabet) + len(special)} tokens, the bytes "
            f"and {len(special)} special ones, got {vocab_size}"
        )
    backend = library.Tokenizer(library.models.BPE())
    backend.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(special),
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    return backend, trainer


def _wordpiece(vocab_size: int, special: tuple[str, ...]) -> tuple[tokenizers.Tokenizer, Any]:
    if "[UNK]" not in special:
        raise InputError(f"expected [UNK] among wordpiece's special tokens, got {list(special)}")
    library = tokenizers_package()
    backend = library.Tokenizer(library.models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = library.normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    backend.decoder = library.decoders.WordPiece()
    trainer = library.trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=list(special), show_progress=False
    )
    return backend, trainer


_KINDS: Mapping[str, Callable[[int, tuple[str, ...]], tuple[tokenizers.Tokenizer, Any]]] = (
    MappingProxyType({"bpe": _bpe, "wordpiece": _wordpiece})
)


def _surround(backend: tokenizers.Tokenizer) -> None:
    """``[CLS] a [SEP]`` and ``[CLS] a [SEP] b [SEP]``, segments 0 and 1, where these tokens are."""
    ids = {token: backend.token_to_id(token) for token in ("[CLS]", "[SEP]")}
    if None in ids.values():
        return
    backend.post_processor = tokenizers_package().processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=list(ids.items()),
    )


def _config(special: tuple[str, ...], roles: Mapping[str, str]) -> dict[str, Any]:
    """What ``tokenizer_config.json`` says."""
    known = {role: token for token in special for role in _ROLES.get(token, ())}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **known,
        **roles,
    }
