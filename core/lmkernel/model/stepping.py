"""A model that is fed a few positions at a time: a source once, then token by token."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.arguments import require_count
from lmkernel.errors import InputError
from lmkernel.model.feeding import check_step, pad_left, started_anew
from lmkernel.model.sight import Shown, fed_vectors, with_pictures
from lmkernel.model.state import DecodingState, bucket, copied

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.backend import Backend
    from lmkernel.config import ModelConfig, PrecisionPolicy
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.interfaces import Decoder, Embedded, Encoder, Memory

__all__ = ["Stepping"]

_PROMPT_STEP = 16
"""Prompts of compiled backends are padded to 16, 32, 64, … so that few shapes are compiled."""


class Stepping(ABC):
    """What feeds a decoder; `Model` says what an embedding and an output are."""

    backend: Backend
    config: ModelConfig
    policy: PrecisionPolicy
    encoder: Encoder | None
    decoder: Decoder | None
    _compiled_step: Any

    @abstractmethod
    def embed(self, params: Tree, inputs: Array, positions: Array | None = None) -> Embedded:
        """The embedded inputs of the encoder, or of a decoder alone."""

    @abstractmethod
    def embed_target(self, params: Tree, target: Array, positions: Array | None = None) -> Embedded:
        """The embedded input of the decoder."""

    @abstractmethod
    def output(self, params: Tree, hidden: Array, positions: Array) -> Array:
        """The head's output for hidden vectors."""

    def encode(
        self, params: Tree, inputs: NDArray[Any], positions: NDArray[np.int32] | None = None
    ) -> Memory:
        """The encoder's output for a source, to be handed to `begin`.

        Args:
            params: from `pack` or `place`.
            inputs: host ids ``(batch, time)``, or vectors ``(batch, time, width)``.
            positions: host ``(batch, time)``, -1 for padding; by default 0, 1, 2, …
        """
        if self.encoder is None:
            raise InputError("expected a model with an encoder, got one without")
        host, ops = np.asarray(inputs), self.backend.ops
        dtype = self.policy.compute if host.dtype.kind == "f" else "int32"
        with self.backend.scope(), self.backend.inference():
            where = None if positions is None else ops.asarray(positions, "int32")
            embedded = self.embed(params, ops.asarray(host, dtype), where)
            return self.encoder(params["encoder"], embedded)

    def begin(
        self, params: Tree, batch: int, capacity: int, *, memory: Memory | None = None
    ) -> DecodingState:
        """The state before the first token: an empty KV cache of at least ``capacity`` slots a row.

        Args:
            params: the parameters, from `pack` or `place`.
            batch: the number of rows.
            capacity: positions a row; `step` grows the cache when they are used up.
            memory: an encoded source from `encode`; what depends on it alone, such as
                the keys and values of cross-attention, is computed once, here. Of a model that is
                shown pictures, `lmkernel.model.sight.row_pictures`.

        Raises:
            InputError: the model has no decoder, no head or one that pools, or a size makes no
                sense.
        """
        if self.decoder is None:
            raise InputError("expected a model with a decoder, got one without")
        if self.config.head is None:
            raise InputError("expected a model that predicts tokens, got one without a head")
        if self.config.head.pooling != "none":
            raise InputError(
                "expected a head for each position, got one that pools, as of a classifier: "
                "see `classify`"
            )
        require_count("batch", batch)
        require_count("capacity", capacity, least=0)
        # a compiled backend compiles anew for each capacity, so conversations share a few of them
        capacity = bucket(capacity, self.backend.capabilities.shape_step)
        with self.backend.scope(), self.backend.inference():
            shown = None
            if memory is not None and self.config.sight is not None:
                shown = Shown.of(self.backend.ops, memory, self.config.sight.token)
                memory = None
            if memory is not None:  # parts of it become the state, and it serves again
                where, last = copied(self.backend.ops, (memory.positions, memory.state))
                memory = replace(memory, positions=where, state=last)
            tree = self.decoder.start(
                params["decoder"], batch, capacity, self.policy.compute, memory=memory
            )
        growing = any(rotary.depends_on_length for rotary in self.config.embedding.rotaries)
        fed = (np.zeros((batch, 0), np.int32),) * 2 if growing and memory is None else None
        sizes = {"batch": batch, "used": 0, "capacity": capacity}
        return DecodingState(tree, **sizes, fed=fed, shown=shown)

    def slots(self, time: int) -> int:
        """How many slots of the KV cache a step of ``time`` positions takes, padding included."""
        # one token is by far the commonest step and has a shape of its own; padding it to 16 would
        # use up 16 slots for each token
        if time == 1 or not self.backend.capabilities.compiled:
            return time
        return bucket(time, _PROMPT_STEP)

    def fork(self, state: DecodingState) -> DecodingState:
        """A copy of a state, so that both can go on."""
        with self.backend.scope(), self.backend.inference():
            tree = copied(self.backend.ops, state.peek())
        return state.followed_by(tree)

    def step(
        self,
        params: Tree,
        tokens: NDArray[np.int32],
        positions: NDArray[np.int32],
        state: DecodingState,
    ) -> tuple[NDArray[Any], DecodingState]:
        """Feed the next tokens; returns the logits of the last position and the new state.

        Args:
            params: the parameters, from `pack` or `place`.
            tokens: host ``(batch, time)``; rows are padded on the left.
            positions: host ``(batch, time)``; -1 is padding.
            state: the state from `begin`, `fork` or the last step; consumed.

        Returns:
            Host array ``(batch, size)``, and the state after the last token.

        Raises:
            InputError: no integers, shapes that do not fit the state, tokens outside the
                vocabulary, or positions beyond the context.
            CacheError: a state that was consumed already.
        """
        tokens, positions = check_step(self.config, state, tokens, positions)
        ops, step = self.backend.ops, self.backend.capabilities.shape_step
        tokens, positions, state = started_anew(self, params, tokens, positions, state)
        # padding goes to the left, so that the newest token of every row is in the last column:
        # then one output per row is enough, and it is always the same slice
        tokens, positions = pad_left(tokens, positions, self.slots(tokens.shape[1]))
        end = state.used + tokens.shape[1]
        if end > state.capacity:
            state = self.grow(state, bucket(end, step))
        # attention looks at the first `extent` slots. It is static, hence compiled into the step:
        # exact for an eager backend, and in doubling steps where each value would be compiled
        extent = min(bucket(end, step), state.capacity)
        with self.backend.scope(), self.backend.inference():
            arrays = (ops.asarray(x, "int32") for x in (tokens, positions))
            # `start` is an array: a number would become part of the compiled step
            start = ops.asarray(state.used, "int32")
            fed = fed_vectors(ops, state, tokens, positions)
            tree, own = state.consume(), self._compiled_step
            output, tree = own(params, *arrays, tree, start, extent, *fed)
            return ops.to_numpy(output), state.followed_by(tree, used=end)

    def grow(self, state: DecodingState, capacity: int) -> DecodingState:
        """The state (consumed) with room for ``capacity`` positions."""
        if self.decoder is None or capacity < state.capacity:
            raise InputError(f"expected a capacity of {state.capacity} or more, got {capacity}")
        with self.backend.scope(), self.backend.inference():
            tree = self.decoder.grow(state.consume(), capacity)
        return state.followed_by(tree, capacity=capacity)

    def _step(
        self,
        params: Tree,
        tokens: Array,
        positions: Array,
        tree: Tree,
        start: Array,
        extent: int,
        *shown: Array,
    ) -> tuple[Array, Tree]:
        if self.decoder is None:
            raise InputError("expected a model with a decoder, got one without")
        embedded = self.embed_target(params, tokens, positions)
        if shown:
            embedded = with_pictures(self.backend.ops, embedded, *shown)
        hidden, tree = self.decoder.step(params["decoder"], embedded, tree, start, extent=extent)
        # the head is the largest product of a small model; a prompt needs it for one position
        last = self.output(params, hidden[:, -1:], positions[:, -1:])
        return self.backend.ops.reshape(last, (last.shape[0], last.shape[-1])), tree
