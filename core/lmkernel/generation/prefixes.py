"""Prompts that were fed, kept for others that begin alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Tree
    from lmkernel.model import DecodingState, Model
    from lmkernel.model.rows import StateRows

__all__ = ["Prefix", "Prefixes"]


@final
class Prefix:
    """The tokens of one row that were fed, and the state after them."""

    def __init__(self, state: DecodingState) -> None:
        self.tokens: list[int] = []
        self.state = state
        self.logits: NDArray[Any] = np.empty(0)
        self._positions: list[int] = [-1] * state.used

    def __len__(self) -> int:
        return len(self.tokens)

    def feed(self, model: Model, params: Tree, tokens: Sequence[int]) -> None:
        """Feed the next tokens."""
        ids = np.array([tokens], np.int32)
        positions = np.arange(len(self), len(self) + len(tokens), dtype=np.int32)[None]
        before = self.state.used
        logits, self.state = model.step(params, ids, positions, self.state)
        padding = self.state.used - before - len(tokens)
        self._positions += [-1] * padding + positions[0].tolist()
        self.tokens += tokens
        self.logits = logits[0]

    def cut(self, rows: StateRows, length: int) -> Prefix:
        """A copy of its first tokens."""
        end = self._positions.index(length - 1) + 1
        state = rows.select(self.state, [0], range(end), used=end, capacity=end)
        copy = Prefix(state)
        copy.tokens = self.tokens[:length]
        copy.logits = self.logits
        copy._positions = self._positions[:end]
        return copy


@final
class Prefixes:
    """The prompts that are kept, those longest unused given up first.

    Args:
        model: as for `Scheduler`.
        params: the same.
        rows: of the model.
        most: the number of tokens that are kept altogether.
    """

    def __init__(self, model: Model, params: Tree, rows: StateRows, most: int) -> None:
        self._model = model
        self._params = params
        self._rows = rows
        self._most = most
        self._kept: list[Prefix] = []

    def longest(self, prompt: Sequence[int]) -> Prefix:
        """A prefix to go on from: the longest common with one that is kept, or an empty one."""
        ids = np.asarray(prompt)
        shared = [(self._common_length(ids, prefix), i) for i, prefix in enumerate(self._kept)]
        length, index = max(shared, default=(0, 0))
        if not length:
            return Prefix(self._model.begin(self._params, 1, len(prompt)))
        self._kept.append(self._kept.pop(index))
        return self._kept[-1].cut(self._rows, length)

    def keep(self, prefix: Prefix) -> None:
        """Keep a prompt that is fed whole, if its state may be cut and depends on nothing after."""
        if prefix.state.fed is not None or not self._rows.sliceable:
            return
        # what begins another is found in that
        self._kept = [one for one in self._kept if one.tokens != prefix.tokens[: len(one)]]
        self._kept.append(prefix)
        while sum(map(len, self._kept)) > self._most:
            self._kept.pop(0)

    @staticmethod
    def _common_length(prompt: NDArray[Any], prefix: Prefix) -> int:
        """How many tokens at the beginning are the same; of a prompt, its last is fed anew."""
        most = min(len(prompt), len(prefix))
        same = prompt[:most] == np.asarray(prefix.tokens[:most])
        length = most if same.all() else int(same.argmin())
        if length == len(prompt) == len(prefix):
            return length
        # the logits after the last token are not kept where the prefix goes on
        return min(length, len(prompt) - 1)
