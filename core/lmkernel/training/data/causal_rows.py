"""Causal language modelling on examples of their own, in which only some tokens are learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.training.data.batches import Batch, PaddedBatches, PaddedCut
from lmkernel.training.data.order import digest_of
from lmkernel.training.data.ragged import Ragged

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
class CausalRows(PaddedBatches):
    """A row for each example, as long as the longest of its batch, rounded up to ``multiple``.

    ``inputs`` is an example without its last token, ``targets`` its tokens but the first, -1 where
    they are not learned; ``positions`` is -1 at padding. All are ``(batch, time)``.

    Args:
        examples: each of at least two tokens, of which one after the first is learned.
        vocab: tokens that the model knows.
        cut: see `PaddedCut`.

    Raises:
        InputError: names the example that is too long or short, teaches nothing, or holds a token
            outside the vocabulary.
    """

    def __init__(
        self, examples: Sequence[CausalExample], *, vocab: int, **cut: Unpack[PaddedCut]
    ) -> None:
        super().__init__(len(examples), **cut)
        places = [example.where for example in examples]
        for example in examples:
            _check(example)
        Ragged(e.ids for e in examples).check_tokens(vocab, places)
        self._inputs = Ragged(e.ids[:-1] for e in examples)
        self._inputs.check_lengths(self._context, places)
        self._targets = Ragged(
            np.where(np.asarray(e.learned[1:], np.bool_), e.ids[1:], -1) for e in examples
        )

    def at(self, index: int) -> Batch:
        """``inputs``, ``positions`` and ``targets``."""
        rows, real, _ = self._order.at(index)
        positions = self._positions(self._inputs.lengths[rows])
        targets = self._targets.pad_rows(rows, positions.shape[1], -1)
        targets[real:] = -1
        return {
            "inputs": self._inputs.pad_rows(rows, positions.shape[1], 0),
            "positions": positions,
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
