"""Texts, or pairs of texts, of a class each (BERT, arXiv:1810.04805 §4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.training.data.batches import Batch, Batches
from lmkernel.training.data.digest import digest_of
from lmkernel.training.data.order import Order
from lmkernel.training.data.ragged import Ragged, padded_length, positions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Classified", "ClassifiedExample"]


@final
@dataclass(frozen=True, slots=True)
class ClassifiedExample:
    """One example.

    Args:
        ids: its tokens, with those that surround a text.
        segments: 0 or 1 for each, for the first or the second text.
        label: number of its class.
        where: it comes from.
    """

    ids: Sequence[int]
    segments: Sequence[int]
    label: int
    where: str


@final
class Classified(Batches):
    """A row for each example, as long as the longest of its batch, rounded up to ``multiple``.

    ``inputs``, ``positions`` (-1 at padding) and ``segments`` are ``(batch, time)``; ``targets``,
    the classes, is ``(batch,)``.

    Args:
        examples: from `classified_examples`, or already tokenised.
        classes: how many there are.
        context: most positions of a row.
        batch: rows.
        vocab: tokens that the model knows.
        seed: of the shuffle.
        shuffle: whether examples come in another order each epoch.
        multiple: of which the lengths of rows are, short of ``context``.

    Raises:
        InputError: names the example that is too long, empty, or holds a token outside the
            vocabulary or a label outside the classes.
    """

    def __init__(
        self,
        examples: Sequence[ClassifiedExample],
        *,
        classes: int,
        context: int,
        batch: int,
        vocab: int,
        seed: int = 0,
        shuffle: bool = True,
        multiple: int = 64,
    ) -> None:
        places = [example.where for example in examples]
        self._inputs = Ragged(e.ids for e in examples)
        self._segments = Ragged(e.segments for e in examples)
        self._inputs.check_tokens(vocab, places)
        self._inputs.check_lengths(context, places)
        for example in examples:
            _check(example, classes)
        self._labels = np.array([e.label for e in examples], np.int32)
        self._context, self._multiple = context, multiple
        self._order = Order(len(examples), batch, seed=seed, shuffle=shuffle)

    def __len__(self) -> int:
        """Batches in one epoch."""
        return len(self._order)

    def at(self, index: int) -> Batch:
        """``inputs``, ``positions``, ``segments`` and ``targets``."""
        rows, real, _ = self._order.at(index)
        lengths = self._inputs.lengths[rows]
        time = padded_length(int(lengths.max()), self._multiple, self._context)
        targets = self._labels[rows]
        targets[real:] = -1
        return {
            "inputs": self._inputs.padded(rows, time, 0),
            "positions": positions_of(lengths, time),
            "segments": self._segments.padded(rows, time, 0),
            "targets": targets,
        }

    @property
    def digest(self) -> str:
        """Of examples, context and order; not of the padding, which backends choose."""
        parts = (*self._inputs.parts(), *self._segments.parts(), self._labels)
        return digest_of("classified", *parts, self._context, self._order.parts)


def _check(example: ClassifiedExample, classes: int) -> None:
    if not 0 <= example.label < classes:
        raise InputError(
            f"{example.where}: expected a class in 0 … {classes - 1}, got {example.label}"
        )
    if len(example.segments) != len(example.ids):
        raise InputError(
            f"{example.where}: expected a segment for each of {len(example.ids)} tokens, "
            f"got {len(example.segments)}"
        )
