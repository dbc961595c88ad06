"""Denoising: an encoder reads windows of documents with holes in them, a decoder says what is lost.

Documents are cut where `Tokens` has them end to end; the tokens that end them are left out, as they
end what a decoder says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np

from lmkernel.errors import InputError
from lmkernel.random import uniforms
from lmkernel.training.data.batches import Batch, Cut, OrderedBatches
from lmkernel.training.data.openings import ids_around
from lmkernel.training.data.order import digest_of
from lmkernel.training.data.ragged import positions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.tokens import Tokens

    Ids = NDArray[np.int32]

__all__ = ["LEAST", "DenoisedWindows", "Marks", "marks_of", "partition", "tokens_around"]

LEAST = 2
"""Tokens of a window: one is seen beside each that is hidden."""


class Marks(TypedDict):
    """What stands around a text.

    ``start``, which a decoder begins with; ``before`` and ``after``, which stand around a text of
    either side; ``ends``, the tokens that end documents.
    """

    start: int
    before: Sequence[int]
    after: Sequence[int]
    ends: Sequence[int]


def marks_of(tokenizer: Tokenizer, start: int) -> Marks:
    """What a tokenizer puts around a text, with a token that ends it.

    Args:
        tokenizer: of the model.
        start: the token that a decoder begins with.

    Raises:
        InputError: the tokenizer has no token that ends a text.
    """
    ends = tokenizer.eos_ids
    if not ends:
        raise InputError("expected a tokenizer with a token that ends a text, got one without")
    before, after = ids_around(tokenizer)
    after = after if set(ends) & set(after) else [*after, ends[0]]
    return Marks(start=start, before=before, after=after, ends=ends)


class DenoisedWindows(OrderedBatches, ABC):
    """Windows of documents; what is lost in them is drawn anew each epoch.

    ``inputs`` and ``positions`` are of the window as the encoder sees it, ``target``,
    ``target_positions`` and ``targets`` of what the decoder says, all ``(batch, context)``.
    Positions and targets are -1 at padding. The draws are the stream ``denoising.EPOCH.ROW`` of the
    seed.

    Args:
        tokens: documents, one after another.
        room: how many tokens of them make a window.
        marks: what stands around a text.
        vocab: tokens that the model knows.
        cut: see `Cut`. The seed is that of the draws too.

    Raises:
        InputError: a context with no room for two tokens, or a token outside the vocabulary.
    """

    def __init__(
        self, tokens: Tokens, room: int, marks: Marks, *, vocab: int, **cut: Unpack[Cut]
    ) -> None:
        if room < LEAST:
            least = tokens_around(marks) + LEAST
            raise InputError(f"expected a context of {least} or more, got {cut['context']}")
        highest = max(tokens.highest, marks["start"], *marks["before"], *marks["after"])
        if highest >= vocab:
            raise InputError(f"expected tokens in 0 … {vocab - 1}, got {highest}")
        super().__init__(-(-len(tokens) // room), **cut)
        self._tokens, self._room, self._seed = tokens, room, cut.get("seed", 0)
        self._start, self._ends = marks["start"], list(marks["ends"])
        self._before = np.array(marks["before"], np.int32)
        self._after = np.array(marks["after"], np.int32)

    @abstractmethod
    def corrupt(self, window: Ids, draws: NDArray[np.float64]) -> tuple[Ids, Ids]:
        """What the encoder sees of a window, and what the decoder is to say.

        Args:
            window: tokens, of which there may be none.
            draws: uniform in [0, 1), two for each token.
        """

    def at(self, index: int) -> Batch:
        """``inputs``, ``positions``, ``target``, ``target_positions`` and ``targets``."""
        rows, real, epoch = self._order.at(index)
        shape = (rows.size, self._context)
        inputs, target = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        targets = np.full(shape, -1, np.int32)
        lengths = np.zeros((2, rows.size), np.int64)
        for line, row in enumerate(rows):
            source, said = self._pair(int(row), epoch)
            lengths[:, line] = source.size, said.size
            inputs[line, : source.size] = source
            target[line, 0], target[line, 1 : said.size] = self._start, said[:-1]
            if line < real:  # the rows that only fill the batch keep targets of -1
                targets[line, : said.size] = said
        return {
            "inputs": inputs,
            "positions": positions_of(lengths[0], self._context),
            "target": target,
            "target_positions": positions_of(lengths[1], self._context),
            "targets": targets,
        }

    def _pair(self, row: int, epoch: int) -> tuple[Ids, Ids]:
        """Both sides of a window, with the tokens that stand around a text."""
        window = self._tokens.read(row * self._room, (row + 1) * self._room)
        window = window[~np.isin(window, self._ends)]
        draws = uniforms(self._seed, f"denoising.{epoch}.{row}", 2 * window.size)
        sides = self.corrupt(window, draws)
        source, said = (np.concatenate([self._before, side, self._after]) for side in sides)
        return source, said

    @property
    def digest(self) -> str:
        """Of tokens, marks, sizes and order."""
        marks = [self._start, self._before.tolist(), self._after.tolist(), self._ends]
        parts = (type(self).__name__, self._tokens.digest, marks, self._context, self._order.parts)
        return digest_of("denoising", *parts, *self._own_parts())

    @abstractmethod
    def _own_parts(self) -> list[float]:
        """What else the windows follow from."""


def partition(count: int, parts: int, draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """``count`` things in ``parts`` of at least one each, every such partition equally likely.

    Between neighbours there are ``count - 1`` places to cut; the smallest draws say at which.
    """
    cuts = np.sort(np.argsort(draws[: count - 1], kind="stable")[: parts - 1]) + 1
    return np.diff([0, *cuts.tolist(), count])


def tokens_around(marks: Marks) -> int:
    """How many tokens stand around a text."""
    return len(marks["before"]) + len(marks["after"])
