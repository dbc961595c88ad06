"""What is checked of a ``tokenizer.json`` before the ``tokenizers`` library is given it.

The library refuses most of what is wrong itself. What it does not survive, or loses when it writes,
is refused here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["check_document"]

_MOST_IDS = 2**22
"""No vocabulary has as many tokens; what walks through all ids up to the largest ends soon."""


def check_document(document: Mapping[str, Any], where: str) -> None:
    """Refuse what the library must not be given.

    Args:
        document: the content of a ``tokenizer.json``.
        where: the file, for messages.

    Raises:
        CheckpointError: an id that is none, or merges that contradict their prefix.
    """
    model = document.get("model")
    if not isinstance(model, dict):
        raise CheckpointError(f"{where}: model: expected an object, got {type(model).__name__}")
    _check_ids(_vocabulary(model), f"{where}: model.vocab")
    _check_distinct(_vocabulary(model), f"{where}: model.vocab")
    _check_ids(_added_tokens(document), f"{where}: added_tokens")
    _check_merges(model, f"{where}: model.merges")


def _vocabulary(model: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    """Tokens and ids; a list's ids are its positions."""
    vocabulary = model.get("vocab")
    return vocabulary.items() if isinstance(vocabulary, dict) else ()


def _added_tokens(document: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    added = document.get("added_tokens")
    listed = added if isinstance(added, list) else []
    return ((t.get("content"), t.get("id")) for t in listed if isinstance(t, dict))


def _check_ids(pairs: Iterable[tuple[Any, Any]], where: str) -> None:
    for token, number in pairs:
        if type(number) is not int or not 0 <= number < _MOST_IDS:
            raise CheckpointError(
                f"{where}: token {token!r:.80}: expected an id below {_MOST_IDS}, got {number!r}"
            )


def _check_distinct(pairs: Iterable[tuple[Any, Any]], where: str) -> None:
    """Of two tokens with one id the library forgets one when it writes."""
    owners: dict[int, str] = {}
    for token, number in pairs:
        if owners.setdefault(number, token) != token:
            raise CheckpointError(
                f"{where}: expected an id of its own for each token, got {number} for "
                f"{owners[number]!r:.80} and {token!r:.80}"
            )


def _check_merges(model: Mapping[str, Any], where: str) -> None:
    """The library cuts the prefix off the right half of each merge unseen, amid a character too."""
    prefix, merges = model.get("continuing_subword_prefix"), model.get("merges")
    if not isinstance(prefix, str) or not prefix or not isinstance(merges, list):
        return
    for merge in merges:
        halves = merge.split(" ") if isinstance(merge, str) else merge
        right = halves[-1] if isinstance(halves, list) and halves else ""
        if not isinstance(right, str) or not right.startswith(prefix):
            raise CheckpointError(
                f"{where}: expected right halves that begin with the prefix {prefix!r:.80}, "
                f"got {merge!r:.80}"
            )
