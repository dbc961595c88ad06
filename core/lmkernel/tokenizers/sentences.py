"""A text or a pair of texts as encoders take it, such as ``[CLS] a [SEP] b [SEP]``.

What stands around them is the tokenizer's: RoBERTa's has ``<s> a </s></s> b </s>``, all of it in
one segment. Where a tokenizer says nothing, it is BERT's (arXiv:1810.04805, §3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["sentence_ids"]


def sentence_ids(
    tokenizer: Tokenizer, texts: Sequence[str], context: int, *, truncate: bool = False
) -> tuple[list[int], list[int]]:
    """The ids of one text or two, and the segment of each: 0, or 1 in BERT's second.

    Args:
        tokenizer: that puts special tokens around texts, or has ``cls_token`` and ``sep_token``.
        texts: one or two.
        context: most ids.
        truncate: cut what is longer, of two texts the longer one first, at its end.

    Raises:
        InputError: more ids, or a tokenizer without these tokens.
    """
    frame = _frame(tokenizer, len(texts))
    parts, room = tokenizer.encode_many(texts), context - len(frame) + len(texts)
    if truncate:
        _truncate(parts, room)
    if (size := sum(map(len, parts))) > room:
        raise InputError(
            f"expected at most {context} tokens, the model's context, got {size + context - room}; "
            "truncate (--truncate) cuts it"
        )
    ids: list[int] = []
    segments: list[int] = []
    for special, segment, text in frame:
        piece = [special] if text is None else parts[text]
        ids += piece
        segments += [segment] * len(piece)
    return ids, segments


def _frame(tokenizer: Tokenizer, count: int) -> list[tuple[int, int, int | None]]:
    """What stands around so many texts: special tokens, and each text as one token."""
    framed = tokenizer.framed(["a"] * count)
    pairs = zip(framed, [None, *framed], strict=False)
    frame = [now for now, before in pairs if _begins(now, before)]
    if [text for *_, text in frame if text is not None] == [*range(count)] and len(frame) > count:
        return frame
    cls, sep = tokenizer.special_id("cls_token"), tokenizer.special_id("sep_token")
    each = [part for i in range(count) for part in ((0, i, i), (sep, i, None))]
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
