"""Sequence to sequence: a source, and a target that is predicted token by token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack, final

from lmkernel.errors import InputError
from lmkernel.tokenizers.ended import ended_ids
from lmkernel.training.data.batches import Batch, PaddedBatches, PaddedCut
from lmkernel.training.data.order import digest_of
from lmkernel.training.data.ragged import Ragged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.rows import Row

__all__ = ["PairExample", "SequencePairs", "pair_examples"]


@final
@dataclass(frozen=True, slots=True)
class PairExample:
    """One example.

    Args:
        source: tokens that the encoder sees.
        target: tokens that the decoder is to say, with the one that ends a text.
        where: it comes from.
    """

    source: Sequence[int]
    target: Sequence[int]
    where: str


@final
class SequencePairs(PaddedBatches):
    """A row for each example; sources and targets each as long as the longest of the batch.

    ``inputs`` and ``positions`` are ``(batch, time)`` of the source; ``target``, which is the
    target after ``start`` and without its end, ``target_positions`` and ``targets`` are
    ``(batch, time)`` of the target. Lengths are rounded up to ``multiple``; positions and targets
    are -1 at padding.

    Args:
        examples: from `pair_examples`, or already tokenised.
        start: the token that the decoder begins with.
        vocab: tokens that the model knows.
        target_vocab: those of the target, if it has others.
        cut: see `PaddedCut`; the context is that of either side.

    Raises:
        InputError: names the example with a side that is empty, too long, or holds a token outside
            its vocabulary.
    """

    def __init__(
        self,
        examples: Sequence[PairExample],
        *,
        start: int,
        vocab: int,
        target_vocab: int | None = None,
        **cut: Unpack[PaddedCut],
    ) -> None:
        super().__init__(len(examples), **cut)
        places = [example.where for example in examples]
        self._source = Ragged(e.source for e in examples)
        self._target = Ragged(e.target for e in examples)
        limits = {"source": vocab, "target": target_vocab or vocab}
        for name, side in (("source", self._source), ("target", self._target)):
            side.check_tokens(limits[name], places, f"{name} tokens")
            side.check_lengths(self._context, places, f"{name} tokens")
        if not 0 <= start < limits["target"]:
            raise InputError(f"expected a start token in 0 … {limits['target'] - 1}, got {start}")
        self._fed = Ragged([start, *e.target[:-1]] for e in examples)

    def at(self, index: int) -> Batch:
        """``inputs``, ``positions``, ``target``, ``target_positions`` and ``targets``."""
        rows, real, _ = self._order.at(index)
        positions = self._positions(self._source.lengths[rows])
        target_positions = self._positions(self._target.lengths[rows])
        long, time = positions.shape[1], target_positions.shape[1]
        targets = self._target.pad_rows(rows, time, -1)
        targets[real:] = -1
        return {
            "inputs": self._source.pad_rows(rows, long, 0),
            "positions": positions,
            "target": self._fed.pad_rows(rows, time, 0),
            "target_positions": target_positions,
            "targets": targets,
        }

    @property
    def digest(self) -> str:
        """Of examples, context and order; not of the padding, which backends choose."""
        parts = (*self._source.parts(), *self._target.parts(), *self._fed.parts())
        return digest_of("sequence pairs", *parts, self._context, self._order.parts)


def pair_examples(
    rows: Iterable[Row],
    tokenizer: Tokenizer,
    *,
    context: int,
    truncate: bool = False,
    source: str = "source",
    target: str = "target",
) -> Iterator[PairExample]:
    """One example for each row, both texts with special tokens and the one that ends a text.

    Args:
        rows: with the columns.
        tokenizer: with a token that ends a text.
        context: most tokens of either side.
        truncate: cut a longer text before the token that ends it.
        source: name of a column.
        target: name of a column.

    Raises:
        InputError: a row without a column, or, naming it, one that is too long.
    """
    if not tokenizer.eos_ids:
        raise InputError("expected a tokenizer with a token that ends a text, got one without")
    limit = context if truncate else None
    for row in rows:
        texts = {source: tokenizer, target: tokenizer.for_targets}
        sides = [ended_ids(own, row.text(name), limit=limit) for name, own in texts.items()]
        for name, side in zip((source, target), sides, strict=True):
            if len(side) > context:
                raise InputError(
                    f"{row.where}: expected at most {context} tokens, the model's context, in the "
                    f"column {name!r}, got {len(side)}; truncate (--truncate) cuts it"
                )
        yield PairExample(sides[0], sides[1], row.where)
