"""T5's tokenizers as a SentencePiece model: ``spiece.model``, without a ``tokenizer.json``.

Its pieces and their scores become a tokenizer of the ``tokenizers`` library, as transformers makes
one of them; what is written is a ``tokenizer.json``. Blanks are always tokens: transformers 5.24
cuts a space off before them where a configuration lists special tokens and none of them is a blank.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.json_files import MOST_BYTES
from lmkernel.errors import CheckpointError, MissingDependencyError
from lmkernel.files import read_file
from lmkernel.tokenizers.charsmap import check_charsmap
from lmkernel.tokenizers.check import check_pieces
from lmkernel.tokenizers.library import library_code, tokenizers_package

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import tokenizers

__all__ = ["open_unigrams"]

_CLASSES = ("T5Tokenizer", "T5TokenizerFast", "MT5Tokenizer", "MT5TokenizerFast")
_UNIGRAM = 1
_MOST_EXTRA = 10_000
_SPACE = "▁"


def open_unigrams(path: Path, config: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """The tokenizer of a SentencePiece model whose ids are those of its pieces, and of blanks.

    Args:
        path: the file.
        config: the content of ``tokenizer_config.json``; ``extra_ids`` says how many blanks
            ``<extra_id_0>``, … come after the pieces, by default 100; ``tokenizer_class``, whose
            pieces they are.

    Raises:
        CheckpointError: it is no such model, has no token that ends a text, or is of a class
            that has other ids than its pieces (Pegasus) or other rules.
        MissingDependencyError: the ``sentencepiece`` library is not installed.
    """
    named = config.get("tokenizer_class") or _CLASSES[0]
    if named not in _CLASSES:
        raise CheckpointError(
            f"{path}: expected the pieces of a {_CLASSES[0]}, got those of {named!r:.80}; a "
            "tokenizer.json, which transformers writes, is read of every class"
        )
    model = _read_message(path)
    if model.trainer_spec.model_type != _UNIGRAM:
        raise CheckpointError(f"{path}: expected a unigram model of SentencePiece, got another")
    extra = config.get("extra_ids", 100)
    if type(extra) is not int or not 0 <= extra <= _MOST_EXTRA:
        raise CheckpointError(f"{path}: extra_ids: expected 0 to {_MOST_EXTRA}, got {extra!r:.60}")
    blanks = [f"<extra_id_{i}>" for i in range(extra - 1, -1, -1)]
    pieces = [(piece.piece, piece.score) for piece in model.pieces]
    check_pieces(pieces, str(path))
    charsmap = model.normalizer_spec.precompiled_charsmap
    check_charsmap(charsmap, str(path))
    end = str(config.get("eos_token") or "</s>")
    ids = {piece: number for number, (piece, _) in enumerate(pieces)}
    if end not in ids:
        raise CheckpointError(f"{path}: the token {end!r} is missing")
    library: Any = tokenizers_package()
    made: tokenizers.Tokenizer
    with library_code(str(path)):
        vocab = [*pieces, *((blank, 0.0) for blank in blanks)]
        unknown = model.trainer_spec.unk_id
        made = library.Tokenizer(library.models.Unigram(vocab, unk_id=unknown, byte_fallback=False))
        if charsmap:
            made.normalizer = library.normalizers.Precompiled(charsmap)
        spaces = {"replacement": _SPACE, "prepend_scheme": "always", "split": True}
        made.pre_tokenizer = library.pre_tokenizers.Sequence(
            [
                library.pre_tokenizers.WhitespaceSplit(),
                library.pre_tokenizers.Metaspace(**spaces),
            ]
        )
        made.decoder = library.decoders.Metaspace(**spaces)
        made.post_processor = library.processors.TemplateProcessing(
            single=["$A", end], pair=["$A", end, "$B", end], special_tokens=[(end, ids[end])]
        )
        special = [piece.piece for piece in model.pieces if piece.type in _SPECIAL]
        made.add_special_tokens([*special, *blanks])
    return made


_SPECIAL = (2, 3)
"""Kinds of pieces that no text is made of: the unknown one, and control."""


def _read_message(path: Path) -> Any:
    """The message in the file."""
    try:
        library = importlib.import_module("sentencepiece.sentencepiece_model_pb2")
    except ImportError as error:
        raise MissingDependencyError(
            "sentencepiece and protobuf are not both installed; run: "
            "pip install 'lmkernel[sentencepiece]'"
        ) from error
    model = library.ModelProto()
    try:
        model.ParseFromString(read_file(path, MOST_BYTES))
    except Exception as error:  # protobuf's own, whose class lies elsewhere in each of its versions
        if not type(error).__module__.startswith("google"):
            raise
        raise CheckpointError(f"{path}: expected a SentencePiece model: {error}") from error
    if not model.pieces:
        raise CheckpointError(f"{path}: expected a SentencePiece model, got one without pieces")
    return model
