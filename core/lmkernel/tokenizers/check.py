"""What is checked of a ``tokenizer.json`` before the ``tokenizers`` library is given it.

The library refuses most of what is wrong itself. What it does not survive, or loses when it writes,
is refused here.
"""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

from lmkernel.errors import CheckpointError
from lmkernel.tokenizers.charsmap import check_charsmap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "MOST_IDS",
    "added_tokens",
    "check_document",
    "check_pieces",
    "expressions_of",
    "steps_of",
]

MOST_IDS = 2**22
"""No vocabulary has as many tokens; what walks through all ids up to the largest ends soon."""
_MOST_GROWTH = 1000
"""How much longer a text may become; those of published tokenizers stay nearly as long."""
_MOST_PIECE = 1000
_GROWING = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
_PAIR = 2
_SEQUENCES = ("normalizers", "pretokenizers", "processors", "decoders")


def check_document(document: Mapping[str, Any], where: str) -> None:
    """Refuse what the library must not be given.

    Args:
        document: the content of a ``tokenizer.json``.
        where: the file, for messages.

    Raises:
        CheckpointError: an id that is none, merges that contradict their prefix, pieces of
            thousands of characters, a table of characters that leads out of itself, pieces of no
            length, or steps that make texts a thousand times as long.
    """
    model = document.get("model")
    if not isinstance(model, dict):
        raise CheckpointError(f"{where}: model: expected an object, got {type(model).__name__}")
    _check_ids(_vocabulary(model), f"{where}: model.vocab")
    _check_distinct(_vocabulary(model), f"{where}: model.vocab")
    _check_ids(added_tokens(document), f"{where}: added_tokens")
    _check_ids(_processor_tokens(document), f"{where}: post_processor")
    _check_merges(model, f"{where}: model.merges")
    check_pieces(_scored(model), f"{where}: model.vocab")
    for step in steps_of(document.get("normalizer")):
        _check_table(step.get("precompiled_charsmap"), f"{where}: normalizer")
    for step in steps_of(document.get("pre_tokenizer")):
        if step.get("type") == "FixedLength" and step.get("length") == 0:
            raise CheckpointError(
                f"{where}: pre_tokenizer: expected a chunk size (length) of 1 or more, got 0"
            )
    for key in _GROWING:
        growth = math.prod(map(_growth, steps_of(document.get(key))))
        if growth > _MOST_GROWTH:
            raise CheckpointError(
                f"{where}: {key}: expected a text of at most {_MOST_GROWTH} times the length, "
                f"got one of {growth:.3g} times"
            )


def expressions_of(document: Mapping[str, Any], *keys: str) -> list[str]:
    """The regular expressions of some of a document's steps, such as ``"pre_tokenizer"``."""
    patterns = [step.get("pattern") for key in keys for step in steps_of(document.get(key))]
    found = [pattern.get("Regex") for pattern in patterns if isinstance(pattern, dict)]
    return [text for text in found if isinstance(text, str)]


def _vocabulary(model: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    """Tokens and ids; a list's ids are its positions."""
    vocabulary = model.get("vocab")
    return vocabulary.items() if isinstance(vocabulary, dict) else ()


def added_tokens(document: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    """The tokens that a document adds to its vocabulary, with their ids."""
    added = document.get("added_tokens")
    listed = added if isinstance(added, list) else []
    return ((t.get("content"), t.get("id")) for t in listed if isinstance(t, dict))


def _processor_tokens(document: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The tokens that are put around a text, of whose ids the library asks nothing."""
    for step in steps_of(document.get("post_processor")):
        special = step.get("special_tokens")
        for token in special.values() if isinstance(special, dict) else ():
            ids = token.get("ids") if isinstance(token, dict) else None
            yield from ((token.get("id"), n) for n in (ids if isinstance(ids, list) else ()))
        for pair in (step.get("sep"), step.get("cls")):
            if isinstance(pair, list) and len(pair) == _PAIR:
                yield pair[0], pair[1]


def _check_ids(pairs: Iterable[tuple[Any, Any]], where: str) -> None:
    for token, number in pairs:
        if type(number) is not int or not 0 <= number < MOST_IDS:
            raise CheckpointError(
                f"{where}: token {token!r:.80}: expected an id below {MOST_IDS}, got {number!r}"
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


def steps_of(step: Any) -> Iterator[dict[str, Any]]:
    """A step, or those of a sequence of steps."""
    if isinstance(step, dict):
        listed = [step.get(key) for key in _SEQUENCES if isinstance(step.get(key), list)]
        yield from (inner for steps in listed for one in steps or () for inner in steps_of(one))
        yield step


def _growth(step: Mapping[str, Any]) -> float:
    """How often as long a text can be after a step that replaces or puts something before it."""
    if step.get("type") == "TemplateProcessing":
        special = step.get("special_tokens")
        tokens = special.values() if isinstance(special, dict) else ()
        ids = max(
            (_size(token.get("ids")) for token in tokens if isinstance(token, dict)), default=1
        )
        return float(max(1, ids) * max(1, _size(step.get("single")), _size(step.get("pair"))))
    pattern = step.get("pattern")
    replaced = _size(pattern.get("String")) if isinstance(pattern, dict) else 1
    made = max(_size(step.get("content")), _size(step.get("prepend")))
    return max(1.0, made / max(1, replaced))


def _check_table(text: Any, where: str) -> None:
    """What is no text, or none in base 64, the library refuses."""
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        return
    check_charsmap(data, where)


def check_pieces(pieces: Iterable[Sequence[Any]], where: str) -> None:
    """Refuse pieces of a text that are as long as one, and scores that are no numbers.

    The library keeps pieces as a tree with a level for each character, taken down on the stack.

    Args:
        pieces: each with its score.
        where: for messages.

    Raises:
        CheckpointError: see above.
    """
    for text, score in pieces:
        if len(text) > _MOST_PIECE:
            raise CheckpointError(
                f"{where}: expected pieces of at most {_MOST_PIECE} characters, got {text!r:.40}… "
                f"of {len(text)}"
            )
        if not math.isfinite(score):
            raise CheckpointError(f"{where}: {text!r:.80}: expected a finite score, got {score}")


def _scored(model: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Unigram's pieces with their scores; what is none the library refuses."""
    vocabulary = model.get("vocab")
    for piece in vocabulary if isinstance(vocabulary, list) else ():
        if isinstance(piece, list) and [*map(type, piece)] in ([str, float], [str, int]):
            yield piece[0], piece[1]


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list) else 0


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
