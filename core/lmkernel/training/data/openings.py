"""What stands around a text that a model goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.tokenizers import Tokenizer

__all__ = ["ids_around", "opening_ids", "with_end", "with_opening"]


def opening_ids(tokenizer: Tokenizer) -> list[int]:
    """The special tokens that a tokenizer puts before a text, such as ``<s>``; often none.

    A prompt has them wherever it is generated from or scored, so a text that is learned has them
    too.
    """
    return ids_around(tokenizer)[0]


def ids_around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before a text, and those after it."""
    framed = tokenizer.framed(["a"])
    of_text = [number for number, (*_, text) in enumerate(framed) if text is not None]
    if not of_text:
        return [], []
    ids = [token for token, *_ in framed]
    return ids[: of_text[0]], ids[of_text[-1] + 1 :]


def with_opening(ids: Sequence[int], opening: Sequence[int]) -> list[int]:
    """Ids after what begins a text, which is not put there twice."""
    begun = list(ids[: len(opening)]) == list(opening)
    return [*ids] if begun else [*opening, *ids]


def with_end(ids: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Ids that end as a text does: with one of ``ends``, or else the first is put there."""
    return [*ids] if ids and ids[-1] in ends else [*ids, ends[0]]
