"""Windows of documents that lie end to end, for causal and for masked language modelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, Unpack, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.random import uniforms
from lmkernel.training.data.batches import Batch, Cut, OrderedBatches
from lmkernel.training.data.order import digest_of
from lmkernel.training.data.ragged import positions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.tokens import Tokens

__all__ = ["MaskedWindows", "MaskingConfig", "PackedCausal"]

_MASK, _RANDOM = 0.8, 0.9
"""Of the chosen tokens, 80 % become the mask, the next 10 % another token, the rest stay."""


@final
class PackedCausal(OrderedBatches):
    """Causal language modelling: every token is predicted once an epoch.

    Windows of ``context + 1`` tokens each begin with the last token of the one before.

    ``inputs`` is a window without its last token, ``targets`` without its first, both
    ``(batch, context)``. The last window is filled up on the right, with targets of -1, which no
    position before it can see. Documents see those before them in their window.

    Args:
        tokens: documents, one after another.
        vocab: tokens that the model knows.
        opening: the tokens that documents begin with, which are no part of them: they are seen and
            not predicted.
        cut: see `Cut`.

    Raises:
        InputError: fewer than two tokens, or a token outside the vocabulary.
    """

    def __init__(
        self, tokens: Tokens, *, vocab: int, opening: Sequence[int] = (), **cut: Unpack[Cut]
    ) -> None:
        context = cut["context"]
        if len(tokens) < 2 or context < 1:  # noqa: PLR2004 - one is seen, one predicted
            raise InputError(
                f"expected at least two tokens and a context of one, got {len(tokens)} tokens and "
                f"a context of {context}"
            )
        if tokens.highest >= vocab:
            raise InputError(f"expected tokens in 0 … {vocab - 1}, got {tokens.highest}")
        super().__init__(-(-(len(tokens) - 1) // context), **cut)
        self._tokens, self._opening = tokens, list(opening)

    def at(self, index: int) -> Batch:
        """``inputs`` and ``targets``."""
        rows, real, _ = self._order.at(index)
        inputs = np.zeros((rows.size, self._context), np.int32)
        targets = np.full_like(inputs, -1)
        for line, row in enumerate(rows):
            # one token more than inputs, shared with the next window: the last token of a window is
            # the target of its last position, and the first input of the next
            window = self._tokens.read(row * self._context, (row + 1) * self._context + 1)
            inputs[line, : window.size - 1] = window[:-1]
            targets[line, : window.size - 1] = window[1:]
        targets[np.isin(targets, self._opening)] = -1
        targets[real:] = -1  # rows that only fill the batch, so that all batches have one shape
        return {"inputs": inputs, "targets": targets}

    @property
    def digest(self) -> str:
        """Of tokens, sizes and order."""
        parts = (self._context, self._order.parts, *self._opening)
        return digest_of("packed causal", self._tokens.digest, *parts)


@final
@dataclass(frozen=True, kw_only=True)
class MaskingConfig:
    """Which tokens masking needs to know.

    Args:
        cls, sep: put before and after each window.
        mask: takes the place of a token that is to be found.
        special: never chosen, and never drawn as a random token.
        share: how many of the tokens are chosen.
    """

    cls: int
    sep: int
    mask: int
    special: frozenset[int]
    share: float = 0.15

    @classmethod
    def of(cls, tokenizer: Tokenizer, share: float = 0.15) -> Self:
        """From a tokenizer's roles.

        Raises:
            InputError: it has no token in one of the roles.
        """
        return cls(
            cls=tokenizer.special_id("cls_token"),
            sep=tokenizer.special_id("sep_token"),
            mask=tokenizer.special_id("mask_token"),
            special=tokenizer.special_ids,
            share=share,
        )


@final
class MaskedWindows(OrderedBatches):
    """Masked language modelling (BERT, arXiv:1810.04805 §3.1 and A.1).

    Windows of ``context - 2`` tokens between ``cls`` and ``sep``, some of them hidden.

    Each token that is not special is chosen with probability ``share``, and then becomes the mask
    (0.8), a random token (0.1) or itself (0.1); ``targets`` has the chosen ones, and -1 elsewhere.
    The draws are the stream ``mask.EPOCH.ROW`` of the seed. All arrays are ``(batch, context)``.

    Args:
        tokens: documents, one after another.
        masking: the tokens that it takes.
        vocab: tokens that the model knows.
        cut: see `Cut`; a context of three at least. The seed is that of the draws too.

    Raises:
        InputError: a context or share out of bounds, or a token outside the vocabulary.
    """

    def __init__(
        self, tokens: Tokens, masking: MaskingConfig, *, vocab: int, **cut: Unpack[Cut]
    ) -> None:
        context = cut["context"]
        _check(tokens, masking, context, vocab)
        super().__init__(-(-len(tokens) // (context - 2)), **cut)
        self._tokens, self._masking, self._seed = tokens, masking, cut.get("seed", 0)
        ordinary = np.ones(vocab, np.bool_)
        ordinary[[token for token in masking.special if token < vocab]] = False
        self._ordinary, self._candidates = ordinary, np.flatnonzero(ordinary).astype(np.int32)

    def at(self, index: int) -> Batch:
        """``inputs``, ``positions``, ``segments`` and ``targets``."""
        rows, real, epoch = self._order.at(index)
        inputs = np.zeros((rows.size, self._context), np.int32)
        targets = np.full_like(inputs, -1)
        lengths = np.array([self._fill(inputs[i], row) for i, row in enumerate(rows)])
        for line in range(real):  # the rows that only fill the batch keep targets of -1
            self._hide(inputs[line], targets[line], lengths[line], f"mask.{epoch}.{rows[line]}")
        return {
            "inputs": inputs,
            "positions": positions_of(lengths, self._context),
            "segments": np.zeros_like(inputs),
            "targets": targets,
        }

    def _fill(self, line: NDArray[np.int32], row: int) -> int:
        """Write one window between its two marks; returns its length."""
        room = self._context - 2
        window = self._tokens.read(row * room, (row + 1) * room)
        length = window.size + 2
        line[0], line[1 : length - 1], line[length - 1] = (
            self._masking.cls,
            window,
            self._masking.sep,
        )
        return length

    def _hide(
        self, line: NDArray[np.int32], target: NDArray[np.int32], length: int, stream: str
    ) -> None:
        # three draws for each token, chosen or not: none depends on the outcome of another, so that
        # the stream is read in one go and is the same everywhere
        chance, fate, which = uniforms(self._seed, stream, 3 * length).reshape(3, length)
        seen = line[:length]
        chosen = (chance < self._masking.share) & self._ordinary[seen]
        target[:length][chosen] = seen[chosen]
        drawn = self._candidates[(which * self._candidates.size).astype(np.int64)]
        # a tenth stays as it is: the model can trust no token that it sees, and learns to look at
        # the others even where there are no masks, as in fine-tuning
        seen[:] = np.where(chosen & (fate < _MASK), self._masking.mask, seen)
        other = chosen & (fate >= _MASK) & (fate < _RANDOM)
        seen[other] = drawn[other]

    @property
    def digest(self) -> str:
        """Of tokens, masking, sizes and order."""
        m = self._masking
        special = [m.cls, m.sep, m.mask, sorted(m.special), m.share]
        parts = (special, self._context, self._candidates.size, self._order.parts)
        return digest_of("masked", self._tokens.digest, *parts)


def _check(tokens: Tokens, masking: MaskingConfig, context: int, vocab: int) -> None:
    if context < 3:  # noqa: PLR2004 - two marks, and something between them
        raise InputError(f"expected a context of 3 or more, got {context}")
    if not 0 < masking.share <= 1:
        raise InputError(f"expected a share of masked tokens in (0, 1], got {masking.share}")
    highest = max(tokens.highest, masking.cls, masking.sep, masking.mask)
    if highest >= vocab:
        raise InputError(f"expected tokens in 0 … {vocab - 1}, got {highest}")
    if len(masking.special) >= vocab:
        raise InputError(f"expected tokens that are not special among {vocab}, got none")
