"""A text or a pair of texts as encoders take it, such as ``[CLS] a [SEP] b [SEP]``.

What stands around them is the tokenizer's: RoBERTa's has ``<s> a </s></s> b </s>``, all of it in
one segment. Where a tokenizer says nothing, it is BERT's (arXiv:1810.04805, §3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.errors import CheckpointError, InputError
from lmkernel.tokenizers.beginning import beginning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lmkernel.tokenizers.tokenizer import Tokenizer

    Frame = Sequence[tuple[int, int, int | None]]

__all__ = ["Sentence", "sentence_ids", "sentence_windows"]

_NOWHERE = (-1, 0, 0)
_IDS = 2**32
"""The library numbers segments in so many."""


@final
@dataclass(frozen=True, slots=True)
class Sentence:
    """One text or two as an encoder takes them, with the place of each token.

    Args:
        ids: the tokens.
        segments: of each.
        places: of each, the number of its text and where it begins and ends in it, in characters;
            ``(-1, 0, 0)`` for a special token around them.
    """

    ids: list[int]
    segments: list[int]
    places: list[tuple[int, int, int]]


def sentence_ids(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    context: int,
    *,
    truncate: bool = False,
    plain: bool = False,
) -> tuple[list[int], list[int]]:
    """The ids of one text or two, and the segment of each: 0, or 1 in BERT's second.

    Args:
        tokenizer: that puts special tokens around texts, or has ``cls_token`` and ``sep_token``.
        texts: one or two.
        context: most ids.
        truncate: cut what is longer, of two texts the longer one first, at its end.
        plain: whether texts stand as they are where the tokenizer says nothing, as decoders have
            them.

    Raises:
        InputError: no ids at all, more, or a tokenizer without these tokens.
        CheckpointError: the tokenizer puts a token in a segment that the model does not have.
    """
    frame = _frame(tokenizer, len(texts), plain=plain)
    room = context - len(frame) + len(texts)
    if truncate:
        texts = [beginning(tokenizer, text, max(room, 0)) for text in texts]
    parts = tokenizer.encode_many(texts)
    if truncate:
        _truncate(parts, room)
    if (size := sum(map(len, parts))) > room:
        raise InputError(
            f"expected at most {context} tokens, the model's context, got {size + context - room}; "
            "truncate (--truncate) cuts it"
        )
    made = _assemble(frame, [[(token, _NOWHERE) for token in part] for part in parts])
    return made.ids, made.segments


def sentence_windows(
    tokenizer: Tokenizer, texts: Sequence[str], context: int, *, overlap: int = 0
) -> Iterator[Sentence]:
    """One text or two with special tokens; the last one in windows where it is too long for one.

    Args:
        tokenizer: see `sentence_ids`.
        texts: one or two.
        context: most ids of a window.
        overlap: how many of the last text's tokens two neighbouring windows share, at most.

    Raises:
        InputError: the first of two texts leaves no room for the second.
    """
    frame = _frame(tokenizer, len(texts))
    parts = [
        [
            (token, (number, *at))
            for token, at in zip(*tokenizer.encode_with_offsets(text), strict=True)
        ]
        for number, text in enumerate(texts)
    ]
    *before, last = parts
    room = context - (len(frame) - len(texts)) - sum(map(len, before))
    if room < 1:
        raise InputError(
            f"expected a first text that leaves room in {context} tokens, got {context - room} "
            "with what stands around it"
        )
    step = max(1, room - overlap)
    for begin in range(0, max(1, len(last) - room + step), step):
        yield _assemble(frame, [*before, last[begin : begin + room]])


def _assemble(
    frame: Frame, parts: Sequence[Sequence[tuple[int, tuple[int, int, int]]]]
) -> Sentence:
    """Texts in what stands around them."""
    made = Sentence([], [], [])
    for special, segment, text in frame:
        piece = [(special, _NOWHERE)] if text is None else parts[text]
        made.ids.extend(token for token, _ in piece)
        made.places.extend(place for _, place in piece)
        made.segments.extend(segment for _ in piece)
    return made


def _frame(tokenizer: Tokenizer, count: int, *, plain: bool = False) -> Frame:
    """What stands around so many texts: special tokens, and each text as one token.

    Raises:
        CheckpointError: the tokenizer puts a token in a segment that the model does not have.
    """
    framed, most = tokenizer.framed(["a"] * count), tokenizer.segments or _IDS
    pairs = zip(framed, [None, *framed], strict=False)
    frame = [now for now, before in pairs if _begins(now, before)]
    if [text for *_, text in frame if text is not None] == [*range(count)] and (
        plain or len(frame) > count
    ):
        if (worst := max(segment for _, segment, _ in frame)) >= most:
            raise CheckpointError(
                f"{tokenizer.where}: tokenizer.json: post_processor: expected type ids below "
                f"{most}, the model's type_vocab_size, got {worst}"
            )
        return frame
    cls, sep = tokenizer.special_id("cls_token"), tokenizer.special_id("sep_token")
    own = [min(i, most - 1) for i in range(count)]
    each = [part for i in range(count) for part in ((0, own[i], i), (sep, own[i], None))]
    return [(cls, 0, None), *each]


def _begins(now: tuple[int, int, int | None], before: tuple[int, int, int | None] | None) -> bool:
    """Whether a token is special, or the first of its text."""
    return now[2] is None or before is None or before[2] != now[2]


def _truncate(texts: list[list[int]], room: int) -> None:
    """Shorten the longer text first (the reference's truncate_seq_pair), in one go."""
    if len(texts) == 1:
        del texts[0][max(room, 0) :]
        return
    first, second = texts
    half = max(room, 0) // 2
    keep = max(half + room % 2, room - len(second))
    del first[max(keep, 0) :]
    del second[max(room - len(first), 0) :]
