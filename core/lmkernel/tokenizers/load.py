"""The tokenizer of a Hugging Face directory.

``tokenizer.json`` says how text becomes ids; the other files name special tokens, the ids that end
a text, and the chat template, each of which may lie in more than one place.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.json_files import read_object
from lmkernel.errors import CheckpointError, InputError, MissingDependencyError
from lmkernel.tokenizers.tokenizer import SPECIAL_ROLES, Tokenizer

if TYPE_CHECKING:
    import os
    from types import ModuleType

    import tokenizers

__all__ = ["load_templates", "load_tokenizer", "tokenizers_package"]


def load_tokenizer(directory: str | os.PathLike[str]) -> Tokenizer:
    """Read a directory's tokenizer.

    Raises:
        CheckpointError: there is no ``tokenizer.json``, or a file is damaged.
        MissingDependencyError: the ``tokenizers`` library is not installed.
    """
    folder = Path(directory)
    backend = _backend(folder / "tokenizer.json")
    config = read_object(folder / "tokenizer_config.json", required=False)
    special = read_object(folder / "special_tokens_map.json", required=False)
    for role in SPECIAL_ROLES:
        if config.get(role) is None and special.get(role) is not None:
            config[role] = special[role]
    templates = _templates(folder, config.pop("chat_template", None))
    try:
        return Tokenizer(
            backend, config, templates=templates, eos_ids=_eos_ids(folder), name=str(folder)
        )
    except InputError as error:
        raise CheckpointError(f"{folder}: {error}") from error


def load_templates(directory: str | os.PathLike[str]) -> dict[str, str]:
    """A directory's chat templates by name; none, where it has none.

    Raises:
        CheckpointError: a file is damaged.
    """
    folder = Path(directory)
    config = read_object(folder / "tokenizer_config.json", required=False)
    return _templates(folder, config.get("chat_template"))


def tokenizers_package() -> ModuleType:
    """The ``tokenizers`` library, or the command that installs it."""
    try:
        return importlib.import_module("tokenizers")
    except ImportError as error:
        raise MissingDependencyError(
            "tokenizers is not installed; run: pip install tokenizers"
        ) from error


def _backend(path: Path) -> tokenizers.Tokenizer:
    """The library's tokenizer, without the truncation and padding that a file may ask for."""
    if not path.is_file():
        raise CheckpointError(f"{path}: the model has no tokenizer.json, so no tokenizer")
    library = tokenizers_package()
    try:
        backend: tokenizers.Tokenizer = library.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise CheckpointError(f"{path}: {error}") from error
    backend.no_truncation()
    backend.no_padding()
    return backend


def _templates(folder: Path, configured: Any) -> dict[str, str]:
    """Chat templates by name; a file of its own goes before the configuration."""
    where = f"{folder / 'tokenizer_config.json'}: chat_template"
    found = _templates_by_name(configured, where) if isinstance(configured, list) else {}
    if isinstance(configured, str):
        found["default"] = configured
    files = {"default": folder / "chat_template.jinja"}
    files |= {f.stem: f for f in sorted((folder / "additional_chat_templates").glob("*.jinja"))}
    return found | {name: _text(path) for name, path in files.items() if path.is_file()}


def _templates_by_name(configured: list[Any], where: str) -> dict[str, str]:
    try:
        return {str(item["name"]): str(item["template"]) for item in configured}
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"{where}: expected objects with name and template") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _eos_ids(folder: Path) -> list[int]:
    """The ids that end a text, as ``generation_config.json`` says, or else ``config.json``."""
    for name in ("generation_config.json", "config.json"):
        value = read_object(folder / name, required=False).get("eos_token_id")
        ids = value if isinstance(value, list) else [] if value is None else [value]
        if not all(type(item) is int and item >= 0 for item in ids):
            raise CheckpointError(f"{folder / name}: eos_token_id: expected ids, got {value!r}")
        if ids:
            return ids
    return []
