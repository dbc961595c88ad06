"""Causal language modelling on examples of their own, in which only some tokens are learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.training.data.batches import Batch, Batches
from lmkernel.training.data.order import Order, digest_of
from lmkernel.training.data.ragged import Ragged, padded_length, positions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CausalExample", "CausalRows"]


@final
@dataclass(frozen=True, slots=True)
class CausalExample:
    """One example.

    Args:
        ids: its tokens.
        learned: for each token, whether the model is to learn to say it.
        where: it comes from.
    """

    ids: Sequence[int]
    learned: Sequence[bool]
    where: str


@final
class CausalRows(Batches):
    """A row for each example, as long as the longest of its batch, rounded up to ``multiple``.

    ``inputs`` is an example without its last token, ``targets`` its tokens but the first, -1 where
    they are not learned; ``positions`` is -1 at padding. All are ``(batch, time)``.

    Args:
        examples: each of at least two tokens, of which one after the first is learned.
        context: most positions of a row.
        batch: rows.
        vocab: tokens that the model knows.
        seed: of the shuffle.
        shuffle: whether examples come in another order each epoch.
        multiple: of which the lengths of rows are, short of ``context``.

    Raises:
        InputError: names the example that is too long or short, teaches nothing, or holds a token
            outside the vocabulary.
    """

    def __init__(
        self,
        examples: Sequence[CausalExample],
        *,
        context: int,
        batch: int,
        vocab: int,
        seed: int = 0,
        shuffle: bool = True,
        multiple: int = 64,
    ) -> None:
        places = [example.where for example in examples]
        for example in examples:
            _check(example)
        Ragged(e.ids for e in examples).check_tokens(vocab, places)
        self._inputs = Ragged(e.ids[:-1] for e in examples)
        self._inputs.check_lengths(context, places)
        self._targets = Ragged(
            np.where(np.asarray(e.learned[1:], np.bool_), e.ids[1:], -1) for e in examples
        )
        self._context, self._multiple = context, multiple
        self._order = Order(len(examples), batch, seed=seed, shuffle=shuffle)

    def __len__(self) -> int:
        """Batches in one epoch."""
        return len(self._order)

    def at(self, index: int) -> Batch:
        """``inputs``, ``positions`` and ``targets``."""
        rows, real, _ = self._order.at(index)
        lengths = self._inputs.lengths[rows]
        time = padded_length(int(lengths.max()), self._multiple, self._context)
        targets = self._targets.pad_rows(rows, time, -1)
        targets[real:] = -1
        return {
            "inputs": self._inputs.pad_rows(rows, time, 0),
            "positions": positions_of(lengths, time),
            "targets": targets,
        }

    @property
    def digest(self) -> str:
        """Of examples, context and order; not of the padding, which backends choose."""
        parts = (*self._inputs.parts(), *self._targets.parts())
        return digest_of("causal rows", *parts, self._context, self._order.parts)


def _check(example: CausalExample) -> None:
    if len(example.ids) != len(example.learned):
        raise InputError(
            f"{example.where}: expected a mark for each of {len(example.ids)} tokens, "
            f"got {len(example.learned)}"
        )
    if not any(example.learned[1:]):
        raise InputError(
            f"{example.where}: expected tokens to be learned after the first, got none among "
            f"{len(example.ids)}"
        )
