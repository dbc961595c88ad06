"""The tokenizer of a Hugging Face directory.

``tokenizer.json`` says how text becomes ids, or a SentencePiece model of each of two languages, or
``vocab.json`` alone, whose tokens are letters; the other files name special tokens, the ids that
end a text, and the chat template, each of which may lie in more than one place.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.json_files import MOST_BYTES, parse_object, read_object
from lmkernel.errors import CheckpointError, InputError
from lmkernel.files import is_there, read_file
from lmkernel.tokenizers.check import check_document
from lmkernel.tokenizers.checks import SPECIAL_ROLES, token_text
from lmkernel.tokenizers.class_settings import follow_class
from lmkernel.tokenizers.letters import LETTERS, open_letters
from lmkernel.tokenizers.library import library_code
from lmkernel.tokenizers.named_tokens import add_named_tokens
from lmkernel.tokenizers.paired_pieces import open_pieces
from lmkernel.tokenizers.pieces import open_unigrams
from lmkernel.tokenizers.tokenizer import Tokenizer
from lmkernel.tokenizers.watched import open_library

if TYPE_CHECKING:
    import os

    import tokenizers

__all__ = ["load_templates", "load_tokenizer"]

_MOST_TEMPLATE = 2**20


def load_tokenizer(directory: str | os.PathLike[str]) -> Tokenizer:
    """Read a directory's tokenizer.

    Raises:
        CheckpointError: there is no ``tokenizer.json``, or a file is damaged.
        MissingDependencyError: the ``tokenizers`` library is not installed.
    """
    folder = Path(directory)
    config = read_object(folder / "tokenizer_config.json", required=False)
    _add_roles(folder, config)
    backend = _library_tokenizer(folder, config)
    templates = _templates(folder, config.pop("chat_template", None))
    try:
        return Tokenizer(
            backend, config, templates=templates, eos_ids=_eos_ids(folder), name=str(folder)
        )
    except InputError as error:
        raise CheckpointError(f"{folder}: {error}") from error


def _add_roles(folder: Path, config: dict[str, Any]) -> None:
    """Special tokens by role, which lie in two files.

    Where both name one, an older configuration, without ``added_tokens_decoder``, gives way, as in
    transformers.
    """
    first, second = folder / "tokenizer_config.json", folder / "special_tokens_map.json"
    special = read_object(second, required=False)
    for role in SPECIAL_ROLES:
        for path, table in ((first, config), (second, special)):
            if table.get(role) is not None and token_text(table[role]) is None:
                raise CheckpointError(f"{path}: {role}: expected a token, got {table[role]!r:.80}")
        own, other = config.get(role), special.get(role)
        if other is None or token_text(own) == token_text(other):
            continue
        older = "added_tokens_decoder" not in config
        if own is not None:
            used = other if older else own
            warnings.warn(
                f"{folder}: {role}: {first.name} says {token_text(own)!r}, {second.name} "
                f"{token_text(other)!r}; {token_text(used)!r} is used",
                stacklevel=3,
            )
        if own is None or older:
            config[role] = other


def load_templates(directory: str | os.PathLike[str]) -> dict[str, str]:
    """A directory's chat templates by name; none, where it has none.

    Raises:
        CheckpointError: a file is damaged.
    """
    folder = Path(directory)
    config = read_object(folder / "tokenizer_config.json", required=False)
    return _templates(folder, config.get("chat_template"))


def _library_tokenizer(folder: Path, config: dict[str, Any]) -> Any:
    """What makes ids of texts; a ``tokenizer.json`` goes before SentencePiece models."""
    path, pieces, pair = (folder / n for n in ("tokenizer.json", "spiece.model", "source.spm"))
    if not is_there(path) and _has_letters(folder):
        return open_letters(folder / LETTERS, config)
    if is_there(path) or not (is_there(pieces) or is_there(pair)):
        backend = _backend(path, config)
        add_named_tokens(backend, folder, config)
        return backend
    # their classes have these tokens where a file does not name them
    for role, token in {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}.items():
        config.setdefault(role, token)
    if is_there(pair):
        return open_pieces(folder, config)
    backend = open_unigrams(pieces, config)
    add_named_tokens(backend, folder, config)
    return backend


def _has_letters(folder: Path) -> bool:
    """Whether a vocabulary is all there is, without what says how texts are cut."""
    others = ("merges.txt", "source.spm", "spiece.model")
    return is_there(folder / LETTERS) and not any(is_there(folder / name) for name in others)


def _backend(path: Path, config: dict[str, Any]) -> tokenizers.Tokenizer:
    """The library's tokenizer, without the truncation and padding that a file may ask for.

    Nor with dropout of merges (arXiv:1910.13267), which makes other ids of a text each time. What
    the configuration tells the tokenizer's class goes before the file.
    """
    if not is_there(path):
        raise CheckpointError(
            f"{path}: the model has no tokenizer.json, so no tokenizer; nor, in its place, "
            f"spiece.model, source.spm with target.spm, or {LETTERS} of letters"
        )
    data = read_file(path, MOST_BYTES)
    document = parse_object(data, str(path))
    check_document(document, str(path))
    if _follows_class(path.parent) and follow_class(
        document, config, str(path.with_name("tokenizer_config.json"))
    ):
        data = json.dumps(document).encode()
    with library_code(str(path)):
        backend: tokenizers.Tokenizer = open_library(data, document, str(path))
        backend.no_truncation()
        backend.no_padding()
        if rate := getattr(backend.model, "dropout", None):
            text = f"{path}: model.dropout: {rate:g} is left out, so that a text has the same ids"
            warnings.warn(text, stacklevel=4)
            backend.model.dropout = None
    return backend


def _follows_class(folder: Path) -> bool:
    """Whether the steps of ``tokenizer.json`` may be another than it says."""
    from lmkernel.families.tokenizer_classes import keeps_steps

    config = read_object(folder / "config.json", required=False)
    return not keeps_steps(config.get("model_type"))


def _templates(folder: Path, configured: Any) -> dict[str, str]:
    """Chat templates by name; a file of its own goes before the configuration.

    Older models that are shown pictures have a ``chat_template.json``, beside their processor.
    """
    older = read_object(folder / "chat_template.json", required=False).get("chat_template")
    configured = older if isinstance(older, str) else configured
    where = f"{folder / 'tokenizer_config.json'}: chat_template"
    listed = [{"name": "default", "template": configured}] if configured else []
    found = _templates_by_name(configured if isinstance(configured, list) else listed, where)
    files = {"default": folder / "chat_template.jinja"}
    files |= {f.stem: f for f in sorted((folder / "additional_chat_templates").glob("*.jinja"))}
    return found | {name: _text(path) for name, path in files.items() if is_there(path)}


def _templates_by_name(configured: list[Any], where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in configured:
        name, text = (item.get("name"), item.get("template")) if isinstance(item, dict) else (0, 0)
        if not isinstance(name, str) or not isinstance(text, str):
            raise CheckpointError(
                f"{where}: expected a text, or objects with name and template, got {item!r}"
            )
        found[name] = text
    return found


def _text(path: Path) -> str:
    try:
        return read_file(path, _MOST_TEMPLATE).decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _eos_ids(folder: Path) -> list[int]:
    """The ids that end a text, as ``generation_config.json`` says, or else ``config.json``.

    An id below 0 is none, as in transformers, where it ends nothing.
    """
    for name in ("generation_config.json", "config.json"):
        value = read_object(folder / name, required=False).get("eos_token_id")
        ids = value if isinstance(value, list) else [] if value is None else [value]
        if not all(type(item) is int for item in ids):
            raise CheckpointError(f"{folder / name}: eos_token_id: expected ids, got {value!r:.80}")
        if ids:
            return [item for item in ids if item >= 0]
    return []
