"""The tokenizer that a GGUF file's metadata describe.

``tokenizer.ggml.model`` says which: ``gpt2``, a byte-level BPE with its merges, or ``llama``, a
sentencepiece BPE whose merges follow from its scores: the pair that makes the token with the best
score is merged first (Kudo and Richardson 2018, arXiv:1808.06226).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from lmkernel.errors import CheckpointError
from lmkernel.gguf.bpe import byte_level, sentencepiece
from lmkernel.gguf.pre_tokenizers import pre_tokenizer_of
from lmkernel.gguf.stripped import stripped_sides
from lmkernel.gguf.vocabulary import TokenKind, Vocabulary, field, flag, read_vocabulary
from lmkernel.tokenizers.library import tokenizers_package
from lmkernel.tokenizers.tokenizer import Tokenizer

if TYPE_CHECKING:
    import tokenizers

    from lmkernel.gguf.file import GgufFile

__all__ = ["gguf_tokenizer"]

_ROLES = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
_MODEL = "tokenizer.ggml.model"
_BUILDERS = MappingProxyType({"gpt2": byte_level, "llama": sentencepiece})
"""By the format's names of tokenizers, which are no families: Qwen's and OLMo's files say gpt2."""


def gguf_tokenizer(file: GgufFile) -> Tokenizer:
    """Build the tokenizer of a GGUF file.

    Raises:
        CheckpointError: a field is missing or contradicts another, or names a tokenizer or a
            pre-tokeniser that is not known here.
    """
    vocabulary = read_vocabulary(file)
    backend = _model(file, vocabulary)
    _add_tokens(backend, file, vocabulary)
    flags = {role: _flag(file, vocabulary, role) for role in ("bos", "eos")}
    _add_ends(backend, vocabulary, flags)
    config = {
        "add_bos_token": flags["bos"],
        "add_eos_token": flags["eos"],
        "clean_up_tokenization_spaces": False,
        "model_max_length": file.metadata.get(f"{file.architecture}.context_length", 10**30),
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{role: token for role, k in _ROLES.items() if (token := vocabulary.role(k)) is not None},
    }
    return Tokenizer(
        backend,
        config,
        templates=_templates(file),
        eos_ids=vocabulary.ends(),
        name=str(file.path),
    )


def _model(file: GgufFile, vocabulary: Vocabulary) -> tokenizers.Tokenizer:
    model = file.metadata.get(_MODEL)
    if not isinstance(model, str) or model not in _BUILDERS:
        known = ", ".join(_BUILDERS)
        raise CheckpointError(f"{file.path}: {_MODEL}: expected one of {known}, got {model!r:.200}")
    return _BUILDERS[model](file, vocabulary)


def _add_tokens(backend: tokenizers.Tokenizer, file: GgufFile, vocabulary: Vocabulary) -> None:
    """Add the tokens that are matched whole before a text is split: control and user-defined."""
    added, sides = tokenizers_package().AddedToken, stripped_sides(file)
    special = vocabulary.of_kind(TokenKind.CONTROL, TokenKind.UNKNOWN)
    own = vocabulary.of_kind(TokenKind.USER_DEFINED)
    backend.add_special_tokens(
        [added(text, normalized=False, special=True, **sides(text)) for text in special]
    )
    backend.add_tokens(
        [added(text, normalized=False, special=False, **sides(text)) for text in own]
    )


def _flag(file: GgufFile, vocabulary: Vocabulary, role: Literal["bos", "eos"]) -> bool:
    """Whether texts begin or end with a special token; the defaults are llama.cpp's."""
    has_scores = _BUILDERS[str(file.metadata[_MODEL])] is sentencepiece
    first = has_scores or pre_tokenizer_of(file).adds_bos
    default = role == "bos" and first and role in vocabulary.ids
    asked = flag(file, f"tokenizer.ggml.add_{role}_token", default=default)
    if asked and role not in vocabulary.ids:
        key = f"tokenizer.ggml.{role}_token_id"
        raise CheckpointError(f"{file.path}: {key} is missing, and add_{role}_token asks for it")
    return asked


def _add_ends(
    backend: tokenizers.Tokenizer, vocabulary: Vocabulary, flags: dict[str, bool]
) -> None:
    """Put the tokens that begin and end a text around it."""
    if not any(flags.values()):
        return
    before = [vocabulary.tokens[vocabulary.ids["bos"]]] if flags["bos"] else []
    after = [vocabulary.tokens[vocabulary.ids["eos"]]] if flags["eos"] else []
    backend.post_processor = tokenizers_package().processors.TemplateProcessing(
        single=[*before, "$A", *after],
        pair=[*before, "$A", *after, *(f"{token}:1" for token in before), "$B:1"]
        + [f"{token}:1" for token in after],
        special_tokens=[(token, backend.token_to_id(token)) for token in {*before, *after}],
    )


def _templates(file: GgufFile) -> dict[str, str]:
    key = "tokenizer.chat_template"
    names = field(file, "tokenizer.chat_templates", str, [])
    found = {"default": file.metadata.get(key)}
    found |= {name: file.metadata.get(f"{key}.{name}") for name in names}
    for name, source in found.items():
        if not isinstance(source, str | None):
            where = key if name == "default" else f"{key}.{name}"
            raise CheckpointError(f"{file.path}: {where}: expected a text, got {source!r:.60}")
    return {name: source for name, source in found.items() if source is not None}
