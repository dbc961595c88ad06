"""Tags of the words of a text, such as names, under a model with a head for tokens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import require_known
from lmkernel.errors import InputError, shown
from lmkernel.inspection.inputs import check_ids
from lmkernel.inspection.sentence_rows import (
    context_of,
    forward_rows,
    in_batches,
    label_names,
    probabilities,
)
from lmkernel.results import Line, Lines
from lmkernel.tasks.heads import task_head
from lmkernel.tokenizers.sentences import sentence_windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel
    from lmkernel.tokenizers.sentences import Sentence

__all__ = ["WORDS", "Tagged", "Tagging", "Taggings", "tag"]

WORDS = ("first", "average", "max", "simple", "none")
"""How the tags of a word's tokens become one; ``"simple"`` and ``"none"`` know no words."""
_OUTSIDE = "O"
_OVERLAP = 4
"""Windows of a long text share this part of the context."""


@final
@dataclass(frozen=True)
class Tagged:
    """A span of a text with its tag.

    Args:
        label: the tag, without what is before its hyphen (``B-``) where neighbours were joined.
        text: the span.
        start, end: where it begins and ends, in characters.
        score: how probable the tag is, the mean over the span's words or tokens.
    """

    label: str
    text: str
    start: int
    end: int
    score: float

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**vars(self), "score": round(self.score, 6)}


@final
@dataclass(frozen=True)
class Tagging(Line):
    """The tags of a text.

    Args:
        text: the text.
        found: the spans that have one, in their order.
    """

    text: str
    found: tuple[Tagged, ...]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"text": self.text, "tags": [one.json() for one in self.found]}

    def cells(self) -> dict[str, str]:
        """Its row in a table."""
        return {"TAGS": ", ".join(f"{t.text}: {t.label}" for t in self.found), "TEXT": self.text}


@final
class Taggings(Lines[Tagging]):
    """The tags of several texts, in their order."""


@final
@dataclass
class _Piece:
    """A token or a word, with the probability of each label."""

    start: int
    end: int
    scores: NDArray[np.float64]


def tag(
    model: LanguageModel, texts: str | Sequence[str], *, words: str = "first", batch: int = 32
) -> Tagging | Taggings:
    """The tagged spans of each text.

    A text that is longer than the context is read in windows that overlap; of two spans that
    overlap, the longer one counts, then the more probable one.

    Args:
        model: fine-tuned by the objective ``"tagging"``, on any backend.
        texts: a text, or several.
        words: a word has the tag of its first token (``"first"``), of the mean of their
            probabilities (``"average"``) or of the surest one (``"max"``); neighbours with one tag
            are a span. ``"simple"`` joins tokens regardless of words, ``"none"`` joins nothing.
        batch: how many windows are computed at once.

    Returns:
        For one text a `Tagging`, for several a sequence of them. The label ``O`` is left out.

    Raises:
        InputError: no text, or a model that does not tag.
        UnknownNameError: `words` is none of these.
    """
    head = task_head(model, "tokens", "tagging")
    require_known("way to join tokens", words, WORDS)
    names = label_names(model, head)
    given = [texts] if isinstance(texts, str) else texts
    found: list[Tagging] = []
    for several in in_batches(given, batch, "text"):
        spans: list[list[Tagged]] = [[] for _ in several]
        windows = [
            (i, window) for i, text in enumerate(several) for window in _windows(model, text)
        ]
        for part in in_batches(windows, batch, "text"):
            logits = forward_rows(model, [(w.ids, w.segments) for _, w in part])
            for (i, window), row in zip(part, logits, strict=True):
                pieces = _pieces(model, several[i], window, probabilities(row), words)
                spans[i] += _spans(several[i], pieces, names, joined=words != "none")
        counts = Counter(i for i, _ in windows)
        for i, (text, own) in enumerate(zip(several, spans, strict=True)):
            found.append(Tagging(text, tuple(_apart(own) if counts[i] > 1 else own)))
    return found[0] if isinstance(texts, str) else Taggings(found)


def _windows(model: LanguageModel, text: object) -> Iterator[Sentence]:
    if not isinstance(text, str):
        raise InputError(f"expected a text, got {shown(text)}")
    context = context_of(model)
    for window in sentence_windows(model.tokenizer, [text], context, overlap=context // _OVERLAP):
        check_ids(model.config, window.ids)
        yield window


def _pieces(
    model: LanguageModel, text: str, window: Sentence, scores: NDArray[np.float64], words: str
) -> list[_Piece]:
    """The tokens of a window, or its words."""
    pieces: list[list[_Piece]] = []
    for token, (_, start, end), own in zip(window.ids, window.places, scores, strict=False):
        if end == 0:
            continue  # a special token around the text
        piece = _Piece(start, end, own)
        if pieces and words in WORDS[:3] and _goes_on(model, token, text, start, end):
            pieces[-1].append(piece)
        else:
            pieces.append([piece])
    return [_word(parts, words) for parts in pieces]


def _goes_on(model: LanguageModel, token: int, text: str, start: int, end: int) -> bool:
    """Whether a token goes on the word before it, by the rule of transformers' pipeline."""
    tokenizer = model.tokenizer
    spelt = tokenizer.token(token)
    if spelt == tokenizer.unknown:
        return False
    if tokenizer.inner_prefix:
        return len(spelt) != end - start
    return start > 0 and " " not in text[start - 1 : start + 1]


def _word(parts: list[_Piece], words: str) -> _Piece:
    if words == "average":
        scores = np.mean([part.scores for part in parts], axis=0)
    elif words == "max":
        scores = max(parts, key=lambda part: float(part.scores.max())).scores
    else:
        scores = parts[0].scores
    return _Piece(parts[0].start, parts[-1].end, scores)


def _spans(
    text: str, pieces: Sequence[_Piece], names: Sequence[str], *, joined: bool
) -> Iterator[Tagged]:
    """Neighbours with one tag as one, but where a ``B-`` begins another."""
    groups: list[tuple[str, str, list[_Piece]]] = []
    for piece in pieces:
        name = names[int(piece.scores.argmax())]
        begins, label = name.startswith("B-"), name.removeprefix("B-").removeprefix("I-")
        if joined and groups and groups[-1][0] == label and not begins:
            groups[-1][2].append(piece)
        else:
            # of other schemes (S- of one alone, E- of the last) only what is shown is cut
            groups.append((label, name.split("-", 1)[-1] if joined else name, [piece]))
    for _, label, parts in groups:
        if label != _OUTSIDE:
            start, end = parts[0].start, parts[-1].end
            score = float(np.mean([part.scores.max() for part in parts]))
            yield Tagged(label, text[start:end], start, end, score)


def _apart(spans: Sequence[Tagged]) -> list[Tagged]:
    """Spans of several windows without those that lie over a better one."""
    kept: list[Tagged] = []
    for span in sorted(spans, key=lambda one: one.start):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
        elif (span.end - span.start, span.score) > (kept[-1].end - kept[-1].start, kept[-1].score):
            kept[-1] = span
    return kept
