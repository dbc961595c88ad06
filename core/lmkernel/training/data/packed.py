"""Causal language modelling on packed documents: every token is predicted once an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.training.data.batches import Batch, Cut, OrderedBatches
from lmkernel.training.data.order import digest_of

if TYPE_CHECKING:
    from lmkernel.training.data.tokens import Tokens

__all__ = ["PackedCausal"]


@final
class PackedCausal(OrderedBatches):
    """Windows of ``context + 1`` tokens, each beginning with the last token of the one before.

    ``inputs`` is a window without its last token, ``targets`` without its first, both
    ``(batch, context)``. The last window is filled up on the right, with targets of -1, which no
    position before it can see. Documents see those before them in their window.

    Args:
        tokens: documents, one after another.
        vocab: tokens that the model knows.
        cut: see `Cut`.

    Raises:
        InputError: fewer than two tokens, or a token outside the vocabulary.
    """

    def __init__(self, tokens: Tokens, *, vocab: int, **cut: Unpack[Cut]) -> None:
        context = cut["context"]
        if len(tokens) < 2 or context < 1:  # noqa: PLR2004 - one is seen, one predicted
            raise InputError(
                f"expected at least two tokens and a context of one, got {len(tokens)} tokens and "
                f"a context of {context}"
            )
        if tokens.highest >= vocab:
            raise InputError(f"expected tokens in 0 … {vocab - 1}, got {tokens.highest}")
        super().__init__(-(-(len(tokens) - 1) // context), **cut)
        self._tokens = tokens

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
        targets[real:] = -1  # rows that only fill the batch, so that all batches have one shape
        return {"inputs": inputs, "targets": targets}

    @property
    def digest(self) -> str:
        """Of tokens, sizes and order."""
        return digest_of("packed causal", self._tokens.digest, self._context, self._order.parts)
