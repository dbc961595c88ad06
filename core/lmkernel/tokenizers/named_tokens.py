"""Tokens that the files beside a vocabulary name: added where it lacks them.

The vocabulary is ``tokenizer.json``, or a SentencePiece model in its place.

``added_tokens_decoder`` of ``tokenizer_config.json`` and ``added_tokens.json`` give tokens with
their ids; roles such as ``mask_token``, ``additional_special_tokens`` and ``extra_special_tokens``
give them without. transformers (5.24) adds those that the vocabulary does not add itself, in the
order of their ids, then by role. A token that is added keeps its id if it is in the vocabulary,
else it gets the next free one.

Where files say other things of a token, ``added_tokens_decoder`` goes before the vocabulary, and
that before the others. A role's token is special; so is one that either file calls special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.json_files import read_object
from lmkernel.errors import CheckpointError
from lmkernel.tokenizers.check import MOST_IDS
from lmkernel.tokenizers.checks import SPECIAL_ROLES, token_text
from lmkernel.tokenizers.library import library_code, tokenizers_package

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["add_named_tokens", "number_tokens", "special_tokens"]

_CONFIG, _OLDER, _MAP = "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"
_SIDES = ("lstrip", "rstrip", "normalized", "single_word")
_EXTRA = ("extra_special_tokens", "additional_special_tokens")
"""Keys of special tokens without a role; the second counts where the first has no list."""


def add_named_tokens(backend: Any, folder: Path, config: Mapping[str, Any]) -> None:
    """Add what the files name, and see that each token has the id that they say.

    Args:
        backend: the library's tokenizer, of the vocabulary.
        folder: where the files are.
        config: ``tokenizer_config.json``, with the roles that are used.

    Raises:
        CheckpointError: a malformed entry, or an id that is another token's.
    """
    _refuse_splitting(folder, config)
    numbered = _numbered_tokens(folder, config)
    roles, extra = _roles(folder, config), _extra(folder, config)
    there = {token.content: token for token in backend.get_added_tokens_decoder().values()}
    named = []
    for text in dict.fromkeys((*numbered, *roles, *extra)):
        how, own = numbered.get(text, (0, None))[1], there.get(text)
        if how is None:
            how = roles.get(text, {}) if own is None else _flags(own)
        special = text in roles or (text in extra if own is None else own.special)
        named.append(_added(text, how, special=special))
    with library_code(str(folder / _CONFIG)):
        backend.add_tokens([token for token in named if token != there.get(token.content)])
    for text, (index, _) in numbered.items():
        if (got := backend.token_to_id(text)) != index:
            raise CheckpointError(
                f"{folder}: the token {text!r}: expected the id {got}, which it has or gets behind "
                f"those of the vocabulary, got {index} in {_CONFIG} or {_OLDER}"
            )


def special_tokens(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """The tokens with a role, and those that are called special without one.

    Args:
        folder: where the files are.
        config: ``tokenizer_config.json``, with the roles that are used.

    Raises:
        CheckpointError: a malformed entry.
    """
    return list(dict.fromkeys((*_roles(folder, config), *_extra(folder, config))))


def number_tokens(numbers: dict[str, int], path: Path, config: Mapping[str, Any]) -> None:
    """Give tokens of a ``vocab.json`` the ids that the files beside it say.

    Args:
        numbers: the ids of the vocabulary.
        path: of the vocabulary.
        config: ``tokenizer_config.json``.

    Raises:
        CheckpointError: a malformed entry, or an id that is another token's.
    """
    names = {number: name for name, number in numbers.items()}
    for text, (number, _) in _numbered_tokens(path.parent, config).items():
        taken = names.setdefault(number, text) != text or numbers.get(text, number) != number
        if taken or not 0 <= number < MOST_IDS:
            raise CheckpointError(
                f"{path}: expected an id of its own for {text!r:.60}, which a file beside it adds, "
                f"got {number}"
            )
        numbers[text] = number


def _refuse_splitting(folder: Path, config: Mapping[str, Any]) -> None:
    if config.get("split_special_tokens"):
        raise CheckpointError(
            f"{folder / _CONFIG}: split_special_tokens: expected false, for special tokens are "
            "kept whole"
        )


def _numbered_tokens(
    folder: Path, config: Mapping[str, Any]
) -> dict[str, tuple[int, Mapping[str, Any] | None]]:
    """Tokens with an id and what is said of each, if anything, in the order of their ids.

    Args:
        folder: where ``added_tokens.json`` may be.
        config: ``tokenizer_config.json``.

    Raises:
        CheckpointError: a malformed entry.
    """
    found: dict[str, tuple[int, Mapping[str, Any] | None]] = {}
    for text, index in read_object(folder / _OLDER, required=False).items():
        if type(index) is not int:
            raise CheckpointError(f"{folder / _OLDER}: {text!r}: expected an id, got {index!r:.80}")
        found[text] = (index, None)
    where, table = f"{folder / _CONFIG}: added_tokens_decoder", config.get("added_tokens_decoder")
    if not isinstance(table or {}, dict):
        raise CheckpointError(f"{where}: expected an object of tokens by id, got {table!r:.80}")
    for key, entry in (table or {}).items():
        content = entry.get("content") if isinstance(entry, dict) else None
        if not (key.isdecimal() and isinstance(content, str) and content):
            raise CheckpointError(
                f"{where}: expected an id with an object that has a content, got {key!r:.40}: "
                f"{entry!r:.80}"
            )
        found[content] = (int(key), entry)
    return dict(sorted(found.items(), key=lambda item: item[1][0]))


def _roles(folder: Path, config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Tokens by role, those that all models may have first, and what is said of each.

    A model may have roles of its own, such as ``image_token``.
    """
    special = read_object(folder / _MAP, required=False)
    own = (key for key in (*config, *special) if key.endswith("_token"))
    found: dict[str, Mapping[str, Any]] = {}
    for key in dict.fromkeys((*SPECIAL_ROLES, *own)):
        tokens = [table[key] for table in (config, special) if token_text(table.get(key))]
        text = token_text(tokens[0]) if tokens else None
        said = [token for token in tokens if isinstance(token, dict) and token["content"] == text]
        if text:
            found.setdefault(text, said[-1] if said else {})
    return found


def _extra(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Special tokens that are named without an id or a role."""
    special = read_object(folder / _MAP, required=False)
    found = []
    for file, table in ((_CONFIG, config), (_MAP, special)):
        for key in _EXTRA:
            tokens = table.get(key) or []
            several = tokens.values() if isinstance(tokens, dict) else tokens
            if not isinstance(tokens, dict | list) or not all(map(token_text, several)):
                raise CheckpointError(
                    f"{folder / file}: {key}: expected tokens, got {tokens!r:.80}"
                )
            found += [token_text(token) for token in several]
            if tokens and isinstance(tokens, list):
                break
    return [text for text in found if text]


def _flags(token: Any) -> dict[str, bool]:
    """What a token of the library is said to be."""
    return {name: getattr(token, name) for name in _SIDES}


def _added(text: str, how: Mapping[str, Any], *, special: bool) -> Any:
    flags = {name: bool(how[name]) for name in _SIDES if name in how}
    special = special or bool(how.get("special"))
    # what is no special token is found in a text as it is normalised, unless it says otherwise
    flags.setdefault("normalized", not special)
    return tokenizers_package().AddedToken(text, special=special, **flags)
