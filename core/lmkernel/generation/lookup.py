"""Prompt look-up: tokens that followed the same words before are guessed, and fed at once.

The last tokens of a row are looked for earlier in it, and those that followed there are fed after
the newest token, in one step (Saxena 2023, "Prompt lookup decoding"; the check is that of
arXiv:2211.17192 for a guess without probabilities). A token is still chosen from the model's own
logits, by the same draw, so the tokens are those of decoding one by one; a guess that was right
saves a step. Slots of a wrong guess are written over: until then their positions lie behind every
query's, so that nobody sees them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.model.rows import StateRows
from lmkernel.model.state import bucket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.model import Model
    from lmkernel.model.state import DecodingState

    Columns = NDArray[np.int32]

__all__ = ["PromptLookup", "guess"]

_LONGEST, _SHORTEST = 3, 2
"""How many of the last tokens are looked for: the longest run first."""


def guess(history: Sequence[int], count: int) -> list[int]:
    """What followed the last tokens of a row where they stood before, the latest place first.

    Returns:
        ``count`` tokens at most; none where the last tokens are new.
    """
    tokens = np.asarray(history, np.int64)
    for length in range(_LONGEST, _SHORTEST - 1, -1):
        if len(tokens) <= length:
            continue
        runs = np.lib.stride_tricks.sliding_window_view(tokens[:-1], length)
        [places] = np.nonzero((runs == tokens[-length:]).all(1))
        if len(places):
            begin = int(places[-1]) + length
            return list(map(int, tokens[begin : begin + count]))
    return []


@final
class PromptLookup:
    """Steps of a batch, several tokens at once where they can be guessed.

    Args:
        model: with a decoder whose cache keeps every token.
        params: its parameters.
        count: how many tokens are guessed.
    """

    def __init__(self, model: Model, params: Tree, count: int) -> None:
        self._model, self._params, self._count = model, params, count
        self._fed: Columns | None = None
        self._logits: NDArray[Any] = np.empty(0)
        self._begun = self._at = 0
        self._compiled = model.backend.ops.compile(self._scores, donate=(3,), static=(5,))

    def step(
        self,
        tokens: Columns,
        positions: Columns,
        histories: Sequence[Sequence[int]],
        state: DecodingState,
    ) -> tuple[NDArray[Any], DecodingState]:
        """As `Model.step`, of one column.

        Args:
            tokens: ``(rows, 1)``, the newest of each row.
            positions: ``(rows, 1)``, -1 for a row that has ended.
            histories: all tokens of each row, the newest included.
            state: the state; consumed.

        Raises:
            InputError: the model's state can't go back.
        """
        alive = positions[:, 0] >= 0
        if self._fed is not None:
            right = self._at < self._fed.shape[1]
            if right and (self._fed[:, self._at] == tokens[:, 0])[alive].all():
                self._at += 1
                return self._logits[:, self._at - 1], self._back_to(state)
            self._fed = None
        columns = self._columns(tokens, positions, histories)
        if columns is None:
            return self._model.step(self._params, tokens, positions, state)
        self._require_every_token(state)
        width = columns.shape[1]
        steps = np.arange(width, dtype=np.int32)
        places = np.where(alive[:, None], positions + steps, np.int32(-1))
        self._logits, state = self._feed(columns, places, state)
        self._fed, self._at = columns, 1
        self._begun = state.used - width
        return self._logits[:, 0], self._back_to(state)

    def _back_to(self, state: DecodingState) -> DecodingState:
        """The state (consumed) in which the guesses that are not needed yet are not there."""
        return state.followed_by(state.consume(), used=self._begun + self._at)

    def _columns(
        self, tokens: Columns, positions: Columns, histories: Sequence[Sequence[int]]
    ) -> Columns | None:
        """The newest tokens and guesses after them, ``(rows, 1 + count)``, if there is a guess."""
        context = self._model.config.context
        if context and int(positions.max()) + self._count >= context:
            return None
        columns = np.repeat(tokens, 1 + self._count, 1)  # of one width, which is compiled once
        found = False
        for row, history in enumerate(histories):
            after = guess(history, self._count) if positions[row, 0] >= 0 else []
            columns[row, 1 : 1 + len(after)] = after
            found |= bool(after)
        return columns if found else None

    def _feed(
        self, columns: Columns, places: Columns, state: DecodingState
    ) -> tuple[NDArray[Any], DecodingState]:
        """The logits of every column, ``(rows, time, vocab)``, and the state after the last."""
        model, backend = self._model, self._model.backend
        ops, step = backend.ops, backend.capabilities.shape_step
        end = state.used + columns.shape[1]
        if end > state.capacity:
            state = model.grow(state, bucket(end, step))
        extent = min(bucket(end, step), state.capacity)
        with backend.scope(), backend.inference():
            arrays = (ops.asarray(x, "int32") for x in (columns, places, state.used))
            fed, where, start = arrays
            logits, tree = self._compiled(self._params, fed, where, state.consume(), start, extent)
            return ops.to_numpy(logits), state.followed_by(tree, used=end)

    def _scores(
        self, params: Tree, tokens: Array, positions: Array, tree: Tree, start: Array, extent: int
    ) -> tuple[Array, Tree]:
        model = self._model
        if model.decoder is None:
            raise InputError("expected a model with a decoder, got one without")
        embedded = model.embed_target(params, tokens, positions)
        hidden, tree = model.decoder.step(params["decoder"], embedded, tree, start, extent=extent)
        return model.output(params, hidden, positions), tree

    def _require_every_token(self, state: DecodingState) -> None:
        """Raise `InputError` unless the state before a token is part of the state after it."""
        tree = state.peek()
        whole = isinstance(tree, dict) and "positions" in tree and not tree.get("recent")
        if not whole or state.fed is not None or not self._sliceable:
            raise InputError(
                "prompt_lookup_num_tokens: expected a model whose cache keeps every token as it "
                "was, got one with a window, a recurrent network, or angles that change as a row "
                "grows"
            )

    @functools.cached_property
    def _sliceable(self) -> bool:
        """Whether all that is kept of a row lies in slots; what is kept of a source stays."""
        if self._model.encoder is not None:
            return True
        return StateRows(self._model, self._params).sliceable
