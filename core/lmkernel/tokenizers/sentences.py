"""A text or a pair of texts as encoders take it: ``[CLS] a [SEP]`` or ``[CLS] a [SEP] b [SEP]``.

BERT, arXiv:1810.04805 §3.
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
    """The ids of one text or two, and the segment of each: 0, or 1 in the second.

    Args:
        tokenizer: with ``cls_token`` and ``sep_token``.
        texts: one or two.
        context: most ids.
        truncate: cut what is longer, of two texts the longer one first, at its end.

    Raises:
        InputError: more ids, or a tokenizer without these tokens.
    """
    cls, sep = tokenizer.special_id("cls_token"), tokenizer.special_id("sep_token")
    parts, room = tokenizer.encode_many(texts), context - 1 - len(texts)
    if truncate:
        _truncate(parts, room)
    if (size := sum(map(len, parts))) > room:
        raise InputError(
            f"expected at most {context} tokens, the model's context, got {size + context - room}; "
            "truncate (--truncate) cuts it"
        )
    ids, segments = [cls], [0]
    for number, part in enumerate(parts):
        ids += [*part, sep]
        segments += [number] * (len(part) + 1)
    return ids, segments


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
