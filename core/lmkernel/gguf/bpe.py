"""The two kinds of BPE that GGUF files hold, built for the ``tokenizers`` library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.errors import CheckpointError
from lmkernel.gguf.pre_tokenizers import pre_tokenizer_of, warn_of_no_name
from lmkernel.gguf.vocabulary import TokenKind, Vocabulary, field, flag
from lmkernel.tokenizers.check import check_pieces
from lmkernel.tokenizers.library import library_code, tokenizers_package

if TYPE_CHECKING:
    import tokenizers

    from lmkernel.gguf.file import GgufFile

__all__ = ["byte_level", "sentencepiece"]

_SPACE = "\u2581"


def byte_level(file: GgufFile, vocabulary: Vocabulary) -> tokenizers.Tokenizer:
    """A byte-level BPE: ``tokenizer.ggml.model`` is ``gpt2``.

    Raises:
        CheckpointError: merges that do not fit the vocabulary, or an unknown pre-tokeniser.
    """
    library = tokenizers_package()
    warn_of_no_name(file)
    pre = pre_tokenizer_of(file)
    model = _bpe(file, vocabulary, _merges(file), ignore_merges=pre.ignore_merges)
    backend: tokenizers.Tokenizer = library.Tokenizer(model)
    backend.pre_tokenizer = pre.split()
    backend.decoder = library.decoders.ByteLevel()
    if pre.composes:
        backend.normalizer = library.normalizers.NFC()
    return backend


def sentencepiece(file: GgufFile, vocabulary: Vocabulary) -> tokenizers.Tokenizer:
    """A sentencepiece BPE with bytes as fallback: ``tokenizer.ggml.model`` is ``llama``.

    Raises:
        CheckpointError: scores that do not fit the vocabulary.
    """
    library = tokenizers_package()
    unknown = vocabulary.role("unknown") or next(iter(vocabulary.of_kind(TokenKind.UNKNOWN)), None)
    merges = _merges_of_scores(file, vocabulary)
    backend: tokenizers.Tokenizer = library.Tokenizer(
        _bpe(file, vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    prefix = flag(file, "tokenizer.ggml.add_space_prefix", default=True)
    spaces = library.normalizers.Replace(" ", _SPACE)
    first = [library.normalizers.Prepend(_SPACE)] if prefix else []
    backend.normalizer = library.normalizers.Sequence([*first, spaces])
    backend.decoder = _sentencepiece_decoder(library, prefix=prefix)
    return backend


def _merges(file: GgufFile) -> list[tuple[str, ...]]:
    """The halves of each merge; the library ends its thread where one is empty."""
    merges = [tuple(merge.split(" ")) for merge in field(file, "tokenizer.ggml.merges", str)]
    for merge in merges:
        if len(merge) != 2 or not all(merge):  # noqa: PLR2004 - a pair
            raise CheckpointError(
                f"{file.path}: tokenizer.ggml.merges: expected two tokens with a space between "
                f"them, got {' '.join(merge)!r:.80}"
            )
    return merges


def _bpe(
    file: GgufFile, vocabulary: Vocabulary, merges: list[tuple[str, ...]], **options: Any
) -> Any:
    with library_code(f"{file.path}: tokenizer.ggml.merges"):
        return tokenizers_package().models.BPE(vocab=vocabulary.table(), merges=merges, **options)


def _merges_of_scores(file: GgufFile, vocabulary: Vocabulary) -> list[tuple[str, ...]]:
    """Every way to make a token of two others, the best token first."""
    scores = field(file, "tokenizer.ggml.scores", float)
    if len(scores) != len(vocabulary.tokens):
        raise CheckpointError(
            f"{file.path}: tokenizer.ggml.scores: expected {len(vocabulary.tokens)} scores, one "
            f"for each token, got {len(scores)}"
        )
    check_pieces(zip(vocabulary.tokens, scores, strict=True), f"{file.path}: tokenizer.ggml.scores")
    kinds = (TokenKind.NORMAL, TokenKind.USER_DEFINED)
    score = {
        token: value
        for token, kind, value in zip(vocabulary.tokens, vocabulary.kinds, scores, strict=True)
        if kind in kinds
    }
    best = sorted(score, key=score.__getitem__, reverse=True)
    halves = ((token[:cut], token[cut:]) for token in best for cut in range(1, len(token)))
    return [pair for pair in halves if pair[0] in score and pair[1] in score]


def _sentencepiece_decoder(library: Any, *, prefix: bool) -> Any:
    """Marks become spaces and bytes characters; the space that encoding put first is stripped."""
    decode = library.decoders
    steps = [decode.Replace(_SPACE, " "), decode.ByteFallback(), decode.Fuse()]
    return decode.Sequence([*steps, decode.Strip(" ", 1, 0)] if prefix else steps)
