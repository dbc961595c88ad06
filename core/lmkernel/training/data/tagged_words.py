"""The words of a row with their tags: from lists of both, or from a text and its spans.

Words of a text are runs of letters and digits, and single other characters; the first of a span is
tagged ``B-``, the others ``I-``, those outside all spans ``O`` (IOB2, arXiv:cs/9907006).
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import InputError
from lmkernel.training.data.rows import class_name, parsed_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.training.data.rows import Row

__all__ = ["KNOWN", "PREFIXES", "read_words", "used_columns"]

KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "tokens": ("tokens", "words"),
        "tags": ("tags", "ner_tags", "labels", "pos_tags", "chunk_tags"),
        "text": ("text", "sentence"),
        "entities": ("entities", "spans"),
    }
)
"""The names that a column of each use may have, the first that is there; a setting names others."""
_OUTSIDE = "O"
PREFIXES = ("B-", "I-")
"""A word that begins a span, and one that goes on with it (IOB2)."""
_WORD = re.compile(r"\w+|[^\w\s]")
_LABELS = ("label", "type", "entity", "entity_group")


def read_words(row: Row, columns: Mapping[str, str]) -> tuple[str, list[tuple[int, int, str]]]:
    """The text of a row, and where each word begins and ends in it, with its tag.

    Raises:
        InputError: names the row, and what was expected.
    """
    found = used_columns(row, columns)
    if "tokens" in found and "tags" in found:
        return _words_of_lists(row, found["tokens"], found["tags"])
    if "text" in found and "entities" in found:
        return _words_of_spans(row, found["text"], found["entities"])
    there = ", ".join(map(str, row.values)) or "none"
    raise InputError(
        f"{row.where}: expected the columns tokens and tags, or text and entities, got {there} "
        "(--column, or columns in the settings, says what the data call one)"
    )


def used_columns(row: Row, columns: Mapping[str, str]) -> dict[str, str]:
    """The column of each use that the row has."""
    found = {
        use: columns.get(use) or next((n for n in names if row.values.get(n) is not None), None)
        for use, names in KNOWN.items()
    }
    return {use: name for use, name in found.items() if name is not None}


def _words_of_lists(row: Row, tokens: str, tags: str) -> tuple[str, list[tuple[int, int, str]]]:
    words, named = (parsed_value(row.column(name)) for name in (tokens, tags))
    if not isinstance(words, list) or not all(isinstance(w, str) and w for w in words) or not words:
        raise InputError(f"{row.where}: expected a list of words in {tokens!r}, got {words!r:.60}")
    kinds = isinstance(named, list) and all(
        isinstance(t, int | str) and not isinstance(t, bool) and t != "" for t in named
    )
    if not kinds or len(named) != len(words):
        raise InputError(
            f"{row.where}: expected a tag for each of {len(words)} words in {tags!r}, "
            f"got {named!r:.60}"
        )
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    return " ".join(words), [
        (int(end) - len(word), int(end), class_name(row, tag))
        for word, end, tag in zip(words, ends, named, strict=True)
    ]


def _words_of_spans(row: Row, column: str, spans: str) -> tuple[str, list[tuple[int, int, str]]]:
    text, listed = row.text(column), parsed_value(row.column(spans))
    if not isinstance(listed, list):
        raise InputError(f"{row.where}: expected a list of spans in {spans!r}, got {listed!r:.60}")
    found = sorted(_span(row, one, text) for one in listed)
    words: list[tuple[int, int, str]] = []
    for match in _WORD.finditer(text):
        over = [span for span in found if span[0] < match.end() and match.start() < span[1]]
        _check_lone(row, match[0], over)
        tag = _OUTSIDE
        if over:
            start, _, label = over[0]
            begun = words and start < words[-1][1]
            tag = f"{'I' if begun else 'B'}-{label}"
        words.append((match.start(), match.end(), tag))
    return text, words


def _check_lone(row: Row, word: str, spans: Sequence[tuple[int, int, str]]) -> None:
    if len(spans) > 1:
        first, second = (f"{label!r:.40} at {start} … {end}" for start, end, label in spans[:2])
        raise InputError(
            f"{row.where}: expected spans that share no word, got {first} and {second}, which "
            f"both hold {word!r:.40}"
        )


def _span(row: Row, one: Any, text: str) -> tuple[int, int, str]:
    values = one if isinstance(one, dict) else {}
    label = next((values[name] for name in _LABELS if name in values), None)
    start, end = (n if type(n := values.get(k)) is int else -1 for k in ("start", "end"))
    if not isinstance(label, str) or not 0 <= start < end <= len(text):
        raise InputError(
            f"{row.where}: expected spans with start, end and label within {len(text)} characters, "
            f"got {one!r:.80}"
        )
    if not text[start:end].strip():
        raise InputError(f"{row.where}: expected spans that hold a word, got spaces in {one!r:.80}")
    if not label.strip() or label.startswith(PREFIXES):
        raise InputError(
            f"{row.where}: expected labels of spans without B- and I-, which are put before them, "
            f"and none that is empty, got {label!r:.40}"
        )
    return start, end, label
